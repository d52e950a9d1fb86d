/* Records what a process does to the files below one folder, in the order in which it is done.
 *
 * Preloaded (LD_PRELOAD), so that native code is seen too, as long as it calls the C library. POWERCUT_WATCH is the
 * folder, POWERCUT_LOG the log. Each event is written with one writev to a file opened with O_APPEND, while a lock of
 * all threads and processes is held over the call and its event: the place in the log is the global order.
 * What cannot be recorded (writable shared mappings, copies within the kernel) is logged as BLIND, never left out.
 * The reader is log.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, WRITE, TRUNCATE, SYNC, RENAME, LINK, SYMLINK, UNLINK, MKDIR, MARK, BLIND, SYNC_ALL };
enum { DURABLE = 1, CREATED = 2, FOLDER = 4, EXCHANGE = 8 };

struct __attribute__((packed)) head {
    uint32_t total;
    uint16_t kind, flags;
    uint64_t inode, offset, length;
    uint32_t pid, path_bytes, target_bytes;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int log_fd = -1;
static char watched[PATH_MAX];
static size_t watched_bytes;

static void die(const char *why) {
    dprintf(2, "powercut recorder: %s: %s\n", why, strerror(errno));
    _exit(97);
}

static void open_log(void) {
    const char *path = getenv("POWERCUT_LOG");
    int low = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (low < 0) die("the log cannot be opened");
    log_fd = fcntl(low, F_DUPFD_CLOEXEC, 900);
    if (log_fd < 0) die("the log has no number");
    syscall(SYS_close, low);
}

static void after_fork(void) {
    pthread_mutex_init(&mutex, NULL);
    syscall(SYS_close, log_fd);
    open_log();
}

__attribute__((constructor)) static void start(void) {
    const char *folder = getenv("POWERCUT_WATCH");
    if (!folder || !getenv("POWERCUT_LOG")) return;
    if (!realpath(folder, watched)) die("the watched folder cannot be found");
    watched_bytes = strlen(watched);
    open_log();
    pthread_atfork(NULL, NULL, after_fork);
}

static int is_watched(const char *path) {
    return log_fd >= 0 && !strncmp(path, watched, watched_bytes) && (!path[watched_bytes] || path[watched_bytes] == '/');
}

/* The path of an open file; 0 when it is none, or not watched. A file without a name ends in " (deleted)". */
static int fd_path(int fd, char *path) {
    if (log_fd < 0 || fd < 0) return 0;
    char link[64];
    int kept = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, PATH_MAX - 1);
    errno = kept;
    if (n <= 0) return 0;
    path[n] = 0;
    return is_watched(path);
}

/* An absolute path for a name relative to a folder's number; 0 when it is not watched. `..` is left as it is. */
static int at_path(int dir, const char *name, char *path) {
    if (log_fd < 0 || !name) return 0;
    if (name[0] == '/') {
        if (strlen(name) >= PATH_MAX) return 0;
        strcpy(path, name);
        return is_watched(path);
    }
    char base[PATH_MAX];
    if (dir == AT_FDCWD) {
        if (!getcwd(base, sizeof base)) return 0;
    } else {
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
        ssize_t n = readlink(link, base, sizeof base - 1);
        if (n <= 0) return 0;
        base[n] = 0;
    }
    if (strlen(base) + strlen(name) + 2 > PATH_MAX) return 0;
    sprintf(path, "%s/%s", base, name);
    return is_watched(path);
}

static void lock(void) {
    pthread_mutex_lock(&mutex);
    while (flock(log_fd, LOCK_EX) < 0)
        if (errno != EINTR) die("the log cannot be locked");
}

static void unlock(void) {
    flock(log_fd, LOCK_UN);
    pthread_mutex_unlock(&mutex);
}

static void note(int kind, int flags, uint64_t inode, uint64_t offset, uint64_t length, const char *path,
                 const char *target, const struct iovec *data, int parts, size_t data_bytes) {
    int kept = errno;
    struct head head = {0, kind, flags, inode, offset, length, getpid(), path ? strlen(path) : 0,
                        target ? strlen(target) : 0};
    struct iovec iov[3 + 1024];
    int n = 0;
    iov[n++] = (struct iovec){&head, sizeof head};
    iov[n++] = (struct iovec){(void *)path, head.path_bytes};
    iov[n++] = (struct iovec){(void *)target, head.target_bytes};
    size_t left = data_bytes;
    if (parts > 1020) { errno = E2BIG; die("a write has too many parts"); }
    for (int i = 0; i < parts && left; i++) {
        size_t part = data[i].iov_len < left ? data[i].iov_len : left;
        iov[n++] = (struct iovec){data[i].iov_base, part};
        left -= part;
    }
    head.total = sizeof head + head.path_bytes + head.target_bytes + data_bytes;
    ssize_t written = syscall(SYS_writev, log_fd, iov, n);
    if (written != (ssize_t)head.total) die("the log cannot be written");
    errno = kept;
}

static uint64_t inode_of(int fd) {
    struct stat found;
    int kept = errno;
    uint64_t inode = fstat(fd, &found) ? 0 : found.st_ino;
    errno = kept;
    return inode;
}

/* --- opening --- */

static int do_open(int dir, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    if (!at_path(dir, name, path)) return syscall(SYS_openat, dir, name, flags, mode);
    lock();
    struct stat before;
    int existed = !fstatat(dir, name, &before, AT_SYMLINK_NOFOLLOW);
    int fd = syscall(SYS_openat, dir, name, flags, mode);
    if (fd >= 0) {
        int created = (flags & O_CREAT) && !existed;
        if ((flags & O_TMPFILE) == O_TMPFILE) note(BLIND, 0, 0, 0, 0, path, "O_TMPFILE", 0, 0, 0);
        else if (created) note(OPEN, CREATED, inode_of(fd), 0, 0, path, 0, 0, 0, 0);
        else if ((flags & O_TRUNC) && (flags & O_ACCMODE)) note(TRUNCATE, 0, inode_of(fd), 0, 0, path, 0, 0, 0, 0);
    }
    unlock();
    return fd;
}

#define MODE(flags, last) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { va_list args; va_start(args, last); mode = va_arg(args, mode_t); va_end(args); }
int open(const char *name, int flags, ...) { MODE(flags, flags) return do_open(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE(flags, flags) return do_open(AT_FDCWD, name, flags, mode); }
int openat(int dir, const char *name, int flags, ...) { MODE(flags, flags) return do_open(dir, name, flags, mode); }
int openat64(int dir, const char *name, int flags, ...) { MODE(flags, flags) return do_open(dir, name, flags, mode); }
int __open_2(const char *name, int flags) { return do_open(AT_FDCWD, name, flags, 0); }
int __open64_2(const char *name, int flags) { return do_open(AT_FDCWD, name, flags, 0); }
int __openat_2(int dir, const char *name, int flags) { return do_open(dir, name, flags, 0); }
int __openat64_2(int dir, const char *name, int flags) { return do_open(dir, name, flags, 0); }
int creat(const char *name, mode_t mode) { return do_open(AT_FDCWD, name, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *name, mode_t mode) { return creat(name, mode); }

/* A stream's own calls cannot be seen from outside the C library. */
static FILE *do_fopen(const char *which, const char *name, const char *mode) {
    char path[PATH_MAX];
    FILE *(*real)(const char *, const char *) = (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, which);
    if (strpbrk(mode, "wa+") && at_path(AT_FDCWD, name, path)) {
        lock();
        note(BLIND, 0, 0, 0, 0, path, "fopen", 0, 0, 0);
        unlock();
    }
    return real(name, mode);
}
FILE *fopen(const char *name, const char *mode) { return do_fopen("fopen", name, mode); }
FILE *fopen64(const char *name, const char *mode) { return do_fopen("fopen64", name, mode); }

/* --- writing --- */

static void note_write(int fd, const char *path, off_t offset, const struct iovec *data, int parts, ssize_t done) {
    struct stat found;
    int flags = fcntl(fd, F_GETFL);
    if (fstat(fd, &found) || !S_ISREG(found.st_mode)) return;
    if (offset < 0) offset = lseek(fd, 0, SEEK_CUR) - done;
    if (flags & O_APPEND) offset = found.st_size - done;
    note(WRITE, flags & O_DSYNC ? DURABLE : 0, found.st_ino, offset, done, path, 0, data, parts, done);
}

#define WRITING(call, offset, data, parts) \
    char path[PATH_MAX]; \
    if (!fd_path(fd, path)) return call; \
    lock(); \
    ssize_t done = call; \
    if (done > 0) note_write(fd, path, offset, data, parts, done); \
    unlock(); \
    return done;

ssize_t write(int fd, const void *data, size_t size) {
    struct iovec one = {(void *)data, size};
    WRITING(syscall(SYS_write, fd, data, size), -1, &one, 1)
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    struct iovec one = {(void *)data, size};
    WRITING(syscall(SYS_pwrite64, fd, data, size, offset), offset, &one, 1)
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) { return pwrite(fd, data, size, offset); }
ssize_t writev(int fd, const struct iovec *data, int parts) {
    WRITING(syscall(SYS_writev, fd, data, parts), -1, data, parts)
}
ssize_t pwritev(int fd, const struct iovec *data, int parts, off_t offset) {
    WRITING(syscall(SYS_pwritev, fd, data, parts, offset, 0), offset, data, parts)
}
ssize_t pwritev64(int fd, const struct iovec *data, int parts, off64_t offset) { return pwritev(fd, data, parts, offset); }
ssize_t pwritev2(int fd, const struct iovec *data, int parts, off_t offset, int flags) {
    WRITING(syscall(SYS_pwritev2, fd, data, parts, offset, 0, flags), offset, data, parts)
}
ssize_t pwritev64v2(int fd, const struct iovec *data, int parts, off64_t offset, int flags) {
    return pwritev2(fd, data, parts, offset, flags);
}

static void blind(int fd, const char *why) {
    char path[PATH_MAX];
    if (!fd_path(fd, path)) return;
    lock();
    note(BLIND, 0, inode_of(fd), 0, 0, path, why, 0, 0, 0);
    unlock();
}
ssize_t sendfile(int fd, int in, off_t *at, size_t size) {
    blind(fd, "sendfile");
    return syscall(SYS_sendfile, fd, in, at, size);
}
ssize_t sendfile64(int fd, int in, off64_t *at, size_t size) { return sendfile(fd, in, at, size); }
ssize_t copy_file_range(int in, off64_t *from, int fd, off64_t *at, size_t size, unsigned flags) {
    blind(fd, "copy_file_range");
    return syscall(SYS_copy_file_range, in, from, fd, at, size, flags);
}
ssize_t splice(int in, off64_t *from, int fd, off64_t *at, size_t size, unsigned flags) {
    blind(fd, "splice");
    return syscall(SYS_splice, in, from, fd, at, size, flags);
}
void *mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset) {
    if ((flags & MAP_SHARED) && (protection & PROT_WRITE) && fd >= 0) blind(fd, "mmap");
    return (void *)syscall(SYS_mmap, address, size, protection, flags, fd, offset);
}
void *mmap64(void *address, size_t size, int protection, int flags, int fd, off64_t offset) {
    return mmap(address, size, protection, flags, fd, offset);
}

/* The new size of a file, after a call that may have changed it. */
#define SIZING(call) \
    char path[PATH_MAX]; \
    if (!fd_path(fd, path)) return call; \
    lock(); \
    int done = call; \
    struct stat found; \
    if (!done && !fstat(fd, &found)) note(TRUNCATE, 0, found.st_ino, found.st_size, 0, path, 0, 0, 0, 0); \
    unlock(); \
    return done;

int ftruncate(int fd, off_t size) { SIZING(syscall(SYS_ftruncate, fd, size)) }
int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }
int fallocate(int fd, int mode, off_t offset, off_t size) {
    if (mode & ~FALLOC_FL_KEEP_SIZE) blind(fd, "fallocate with a mode");
    SIZING(syscall(SYS_fallocate, fd, mode, offset, size))
}
int fallocate64(int fd, int mode, off64_t offset, off64_t size) { return fallocate(fd, mode, offset, size); }
int posix_fallocate(int fd, off_t offset, off_t size) { return fallocate(fd, 0, offset, size) ? errno : 0; }
int posix_fallocate64(int fd, off64_t offset, off64_t size) { return posix_fallocate(fd, offset, size); }
int truncate(const char *name, off_t size) {
    int fd = do_open(AT_FDCWD, name, O_WRONLY | O_CLOEXEC, 0);
    if (fd < 0) return -1;
    int done = ftruncate(fd, size), kept = errno;
    syscall(SYS_close, fd);
    errno = kept;
    return done;
}
int truncate64(const char *name, off64_t size) { return truncate(name, size); }

/* --- making durable --- */

#define SYNCING(call) \
    char path[PATH_MAX]; \
    if (!fd_path(fd, path)) return call; \
    lock(); \
    int done = call; \
    struct stat found; \
    if (!done && !fstat(fd, &found)) \
        note(SYNC, S_ISDIR(found.st_mode) ? FOLDER : 0, found.st_ino, 0, 0, path, 0, 0, 0, 0); \
    unlock(); \
    return done;

int fsync(int fd) { SYNCING(syscall(SYS_fsync, fd)) }
int fdatasync(int fd) { SYNCING(syscall(SYS_fdatasync, fd)) }
/* sync_file_range(2): "none of these operations writes out the file's metadata": it makes nothing durable here. */
void sync(void) {
    if (log_fd < 0) { syscall(SYS_sync); return; }
    lock();
    syscall(SYS_sync);
    note(SYNC_ALL, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    unlock();
}
int syncfs(int fd) {
    if (log_fd < 0) return syscall(SYS_syncfs, fd);
    lock();
    int done = syscall(SYS_syncfs, fd);
    if (!done) note(SYNC_ALL, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    unlock();
    return done;
}

/* --- names --- */

static int do_rename(int from, const char *name, int to, const char *target, unsigned flags) {
    char path[PATH_MAX], other[PATH_MAX];
    int here = at_path(from, name, path), there = at_path(to, target, other);
    if (!here && !there) return syscall(SYS_renameat2, from, name, to, target, flags);
    lock();
    int done = syscall(SYS_renameat2, from, name, to, target, flags);
    if (!done && here && there) note(RENAME, flags & RENAME_EXCHANGE ? EXCHANGE : 0, 0, 0, 0, path, other, 0, 0, 0);
    else if (!done) note(BLIND, 0, 0, 0, 0, here ? path : other, "a rename into or out of the folder", 0, 0, 0);
    unlock();
    return done;
}
int rename(const char *name, const char *target) { return do_rename(AT_FDCWD, name, AT_FDCWD, target, 0); }
int renameat(int from, const char *name, int to, const char *target) { return do_rename(from, name, to, target, 0); }
int renameat2(int from, const char *name, int to, const char *target, unsigned flags) {
    return do_rename(from, name, to, target, flags);
}

int linkat(int from, const char *name, int to, const char *target, int flags) {
    char path[PATH_MAX], other[PATH_MAX];
    if (!at_path(to, target, other)) return syscall(SYS_linkat, from, name, to, target, flags);
    int here = at_path(from, name, path);
    lock();
    int done = syscall(SYS_linkat, from, name, to, target, flags);
    if (!done) note(here && !(flags & AT_EMPTY_PATH) ? LINK : BLIND, 0, 0, 0, 0, here ? path : other,
                    here ? other : "a link from outside the folder", 0, 0, 0);
    unlock();
    return done;
}
int link(const char *name, const char *target) { return linkat(AT_FDCWD, name, AT_FDCWD, target, 0); }

#define NAMING(dir, name, call, kind, flags, target) \
    char path[PATH_MAX]; \
    if (!at_path(dir, name, path)) return call; \
    lock(); \
    int done = call; \
    if (!done) note(kind, flags, 0, 0, 0, path, target, 0, 0, 0); \
    unlock(); \
    return done;

int symlinkat(const char *target, int dir, const char *name) {
    NAMING(dir, name, syscall(SYS_symlinkat, target, dir, name), SYMLINK, 0, target)
}
int symlink(const char *target, const char *name) { return symlinkat(target, AT_FDCWD, name); }
int unlinkat(int dir, const char *name, int flags) {
    NAMING(dir, name, syscall(SYS_unlinkat, dir, name, flags), UNLINK, flags & AT_REMOVEDIR ? FOLDER : 0, 0)
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }
int remove(const char *name) {
    int done = unlink(name);
    return done && (errno == EISDIR || errno == EPERM) ? rmdir(name) : done;
}
int mkdirat(int dir, const char *name, mode_t mode) {
    NAMING(dir, name, syscall(SYS_mkdirat, dir, name, mode), MKDIR, 0, 0)
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }

/* Called by the job itself: something that is durable at once, such as a commit of the catalogue. */
void powercut_mark(const char *text) {
    if (log_fd < 0) return;
    lock();
    note(MARK, 0, 0, 0, 0, text, 0, 0, 0, 0);
    unlock();
}
