/* A library to preload: one directory behaves as a network or FUSE mount can.
 *
 * SHIM_BELOW   the directory; SHIM_NAME: only names below it that end so
 * SHIM_CALL    open, stat, read or write: which calls fail
 * SHIM_ERRNO   with which number; SHIM_SKIP: how many go well before;
 *              SHIM_TIMES: how many fail then, before one goes well again;
 *              SHIM_PLACES: how often that happens, one after the other (once)
 * SHIM_INODES  set: every look at a path there shows another inode number
 * SHIM_TRUNCATE after so many looks the times there have lost their fractions
 * SHIM_THREADS how many threads can be made
 * SHIM_FLOCK   the number with which every lock fails
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FDS 1024

static int calls, threads, looks;
static char ours[FDS];

static const char *text(const char *name) {
  const char *value = getenv(name);
  return value ? value : "";
}

static int number(const char *name) { return atoi(text(name)); }

static int is_below(const char *path) {
  const char *below = text("SHIM_BELOW"), *name = text("SHIM_NAME");
  size_t length = strlen(below), end = strlen(name);
  if (!path || !length || strncmp(path, below, length)) return 0;
  length = strlen(path);
  return length >= end && !strcmp(path + length - end, name);
}

static int is_ours(int fd) { return fd >= 0 && fd < FDS && ours[fd]; }

static int fails(const char *call, int below) {
  if (!below || strcmp(call, text("SHIM_CALL"))) return 0;
  int count = __sync_fetch_and_add(&calls, 1);
  int at = count - number("SHIM_SKIP"), times = number("SHIM_TIMES");
  int places = *text("SHIM_PLACES") ? number("SHIM_PLACES") : 1;
  if (at < 0 || at / (times + 1) >= places || at % (times + 1) == times) return 0;
  errno = number("SHIM_ERRNO");
  return 1;
}

static int opened(int fd, const char *path) {
  if (fd >= 0 && fd < FDS) ours[fd] = is_below(path);
  return fd;
}

#define OPEN(name)                                                             \
  int name(const char *path, int flags, ...) {                                 \
    mode_t mode = 0;                                                           \
    if (flags & (O_CREAT | O_TMPFILE)) {                                       \
      va_list list;                                                            \
      va_start(list, flags);                                                   \
      mode = va_arg(list, mode_t);                                             \
      va_end(list);                                                            \
    }                                                                          \
    if (fails("open", is_below(path))) return -1;                              \
    return opened(REAL(name)(path, flags, mode), path);                        \
  }
OPEN(open)
OPEN(open64)

/* What an open descriptor shows stays the same; what a path shows does not. */
#define RENUMBER(found)                                                        \
  if (*text("SHIM_INODES") && S_ISREG(found->st_mode))                         \
    found->st_ino += 1000 * (1 + __sync_fetch_and_add(&looks, 1));

#define TRUNCATE(found)                                                        \
  if (*text("SHIM_TRUNCATE") && S_ISREG(found->st_mode) &&                     \
      __sync_fetch_and_add(&looks, 1) >= number("SHIM_TRUNCATE"))              \
    found->st_mtim.tv_nsec = 0;

#define STAT(name, kind)                                                       \
  int name(const char *path, struct kind *found) {                             \
    if (fails("stat", is_below(path))) return -1;                              \
    int result = REAL(name)(path, found);                                      \
    if (!result && is_below(path)) {                                           \
      RENUMBER(found)                                                          \
      TRUNCATE(found)                                                          \
    }                                                                          \
    return result;                                                             \
  }
STAT(stat, stat)
STAT(stat64, stat64)
STAT(lstat, stat)
STAT(lstat64, stat64)

#define STATAT(name, kind)                                                     \
  int name(int at, const char *path, struct kind *found, int flags) {          \
    if (fails("stat", is_below(path))) return -1;                              \
    int result = REAL(name)(at, path, found, flags);                           \
    if (!result && is_below(path)) {                                           \
      RENUMBER(found)                                                          \
      TRUNCATE(found)                                                          \
    }                                                                          \
    return result;                                                             \
  }
STATAT(fstatat, stat)
STATAT(fstatat64, stat64)

#define FSTAT(name, kind)                                                      \
  int name(int fd, struct kind *found) {                                       \
    int result = REAL(name)(fd, found);                                        \
    if (!result && is_ours(fd)) TRUNCATE(found)                                \
    return result;                                                             \
  }
FSTAT(fstat, stat)
FSTAT(fstat64, stat64)

#define READV(name, offset_t)                                                  \
  ssize_t name(int fd, const struct iovec *to, int count, offset_t offset) {   \
    if (fails("read", is_ours(fd))) return -1;                                 \
    return REAL(name)(fd, to, count, offset);                                  \
  }
READV(preadv, off_t)
READV(preadv64, off64_t)

#define READV2(name, offset_t)                                                 \
  ssize_t name(int fd, const struct iovec *to, int count, offset_t offset,     \
               int flags) {                                                    \
    if (fails("read", is_ours(fd))) return -1;                                 \
    return REAL(name)(fd, to, count, offset, flags);                           \
  }
READV2(preadv2, off_t)
READV2(preadv64v2, off64_t)

ssize_t write(int fd, const void *from, size_t count) {
  if (fails("write", is_ours(fd))) return -1;
  return REAL(write)(fd, from, count);
}

int pthread_create(pthread_t *made, const pthread_attr_t *how,
                   void *(*run)(void *), void *with) {
  if (*text("SHIM_THREADS") &&
      __sync_fetch_and_add(&threads, 1) >= number("SHIM_THREADS"))
    return EAGAIN;
  return REAL(pthread_create)(made, how, run, with);
}

int flock(int fd, int operation) {
  if (!*text("SHIM_FLOCK")) return REAL(flock)(fd, operation);
  errno = number("SHIM_FLOCK");
  return -1;
}
