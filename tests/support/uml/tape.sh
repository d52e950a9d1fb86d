#!/bin/bash
# Within the guest: a virtual tape library (tgtd), its devices over iSCSI, and what our code says of them.
set -euo pipefail
python=$1
here=$(dirname "$(realpath "$0")")
media=/run/rubackup-media
mkdir -p $media /run/lock/iscsi /etc/iscsi
{
    dd if=/dev/zero of=$media/changer bs=1k count=1
    for drive in 1 2; do
        tgtimg --op new --device-type tape --barcode="" --size=1 --type=clean --file=$media/empty$drive
    done
    for tag in RB10001L9 RB10002L9; do
        tgtimg --op new --device-type tape --barcode=$tag --size=8 --type=data --file=$media/$tag --thin-provisioning
    done
    tgtd -f --iscsi portal=127.0.0.1:3260 &
    for _ in $(seq 100); do tgtadm --mode target --op show && break; sleep 0.05; done
    target="tgtadm --lld iscsi"
    $target --op new --mode target --tid 1 -T iqn.2024-01.local.rubackup:library
    for drive in 1 2; do
        unit="$target --mode logicalunit --tid 1 --lun $drive"
        $unit --op new -b $media/empty$drive --device-type=tape
        $unit --op update --params "vendor_id=IBM,product_id=ULT3580-TD9,scsi_sn=10WT00000$drive,removable=1"
        $unit --op update --params online=0
    done
    $target --mode logicalunit --op new --tid 1 --lun 3 -b $media/changer --device-type=changer
    for words in vendor_id=STK,product_id=L700,scsi_sn=VTL0001 media_home=$media \
        element_type=1,start_address=1,quantity=1 element_type=3,start_address=16,quantity=1 \
        element_type=4,start_address=256,quantity=2 element_type=4,address=256,tid=1,lun=1 \
        element_type=4,address=257,tid=1,lun=2 element_type=2,start_address=1024,quantity=8 \
        element_type=2,address=1024,barcode=RB10001L9,sides=1 element_type=2,address=1025,barcode=RB10002L9,sides=1; do
        $target --mode logicalunit --op update --tid 1 --lun 3 --params "$words"
    done
    $target --op bind --mode target --tid 1 -I ALL
    for module in sg st iscsi_tcp; do modprobe $module; done
    echo "InitiatorName=iqn.2024-01.local.rubackup:guest" >/etc/iscsi/initiatorname.iscsi
    iscsid -f &
    for _ in $(seq 100); do iscsiadm -m discovery -t st -p 127.0.0.1:3260 && break; sleep 0.1; done
    iscsiadm -m node --login
    for _ in $(seq 100); do [ -e /dev/sg3 ] && [ -e /dev/nst1 ] && break; sleep 0.1; done
} >/run/tape.log 2>&1 || cat /run/tape.log
PYTHONPATH=$here/../../../src "$python" "$here/tape.py"
