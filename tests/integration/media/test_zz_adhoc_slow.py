import os, time, uuid, sys
sys.path.insert(0, "/work/wt/flow/tests/integration/media"); sys.path.insert(0, "/work/wt/flow/tests")
from rubackup.agent.tasks import RunningTask
from rubackup.client.bandwidth import Bandwidth
from rubackup.client.channels import BackupOverWire, RestoreOverWire
from rubackup.client.modules.filesystem import FileSystemModule
from rubackup.client.ports import BackupJob, RestoreJob
from rubackup.wire.messages import SetBandwidth
from test_data_sessions import CLIENT, Place, backed_up, place
import threading

def test_slow(place, tmp_path):
    src = tmp_path/"s"; src.mkdir(); (src/"f").write_bytes(os.urandom(24<<20))
    rec = uuid.uuid4().hex; backed_up(place, src, rec)
    task = RunningTask(2,1)
    ticket = place.ticket(record=rec, mode="restore"); c = place.connection()
    b = Bandwidth(); b.set(SetBandwidth(epoch=1, backup=0, restore=8192))
    t0=time.monotonic()
    def later():
        time.sleep(260); print("lifting", time.monotonic()-t0, flush=True); b.set(SetBandwidth(epoch=1, backup=0, restore=0))
    threading.Thread(target=later, daemon=True).start()
    with b.line("restore",0,task.is_stopped) as line:
        c.receiving=line
        ch=RestoreOverWire(c, lambda: ticket)
        FileSystemModule().restore(RestoreJob(rec, CLIENT, str(src), str(tmp_path/"t")), ch, task)
    print("done", time.monotonic()-t0)

def test_rate(place, tmp_path):
    for way in ("backup","restore"):
      for rate in (512<<10, 4<<20, 32<<20):
        task = RunningTask(5,1)
        b = Bandwidth(); b.set(SetBandwidth(epoch=1, backup=rate, restore=rate))
        size = rate*10
        src = tmp_path/f"{way}{rate}"; src.mkdir(); (src/"f").write_bytes(os.urandom(size))
        rec = uuid.uuid4().hex
        if way == "restore": backed_up(place, src, rec)
        ticket = place.ticket(record=rec, mode=way); c = place.connection()
        t0=time.monotonic()
        with b.line(way,0,task.is_stopped) as line:
            if way=="backup":
                c.sending=line; ch=BackupOverWire(c, lambda: ticket)
                FileSystemModule().backup(BackupJob(rec, "", CLIENT, str(src)), ch, task)
            else:
                c.receiving=line; ch=RestoreOverWire(c, lambda: ticket)
                FileSystemModule().restore(RestoreJob(rec, CLIENT, str(src), str(tmp_path/f"t{rate}")), ch, task)
            ch.close()
        dt=time.monotonic()-t0
        print(way, rate>>10, "KiB/s", f"{size/dt/rate*100:.1f}% of the limit over {dt:.2f}s", flush=True)
