#!/bin/sh
# First process of a user-mode-linux guest: the host's files read-only, with a layer in memory above them.
# Runs what `run=` of the kernel's command line names, then switches the guest off.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mount -t proc proc /proc
for word in $(cat /proc/cmdline); do case $word in run=*) RUN=${word#run=} ;; python=*) PYTHON=${word#python=} ;; esac; done
mount -t tmpfs tmpfs /mnt
modules=/usr/lib/uml/modules/$(uname -r)
insmod "$modules/kernel/fs/overlayfs/overlay.ko" 2>/dev/null
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root
cd /mnt/root || exit 1
mount -t proc proc proc
mount -t sysfs sys sys
mount -t devtmpfs dev dev
mount -t tmpfs tmpfs run
mkdir -p "lib/modules/$(uname -r)"
mount --bind "$modules" "lib/modules/$(uname -r)"
ip link set lo up
chroot /mnt/root /bin/bash "$RUN" "$PYTHON" </dev/null
sync
echo o >/proc/sysrq-trigger
sleep 5
