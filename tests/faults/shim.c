/* Faults, laid between a test program and the system. tests/faults.rs builds this file and has it loaded
 * before the C library (LD_PRELOAD), so that the calls of std and mio come here first.
 *
 *   program --recv--> [ count the call; does a rule say that it fails? ] --no--> system
 *                                                     `--yes--> -1, errno
 *
 * Rules come from the environment variable ROUNDEL_FAULTS, or through the door (see `readlink` below):
 *
 *   recv:short=1              a read takes one byte at most
 *   send:short=2              a write gives two at most
 *   epoll_wait:EINTR/3        every third call fails
 *   accept4:EMFILE@2          the second call fails;  @2-5: the second to the fifth
 *   storm                     a real SIGALRM every millisecond for each thread that waits in epoll
 *   sigpipe                   SIGPIPE ends the process, as it does where Rust is a guest in a C program
 *
 * with a comma between two rules, and the names of calls and errors of the tables below. What was done is
 * appended to the file ROUNDEL_FAULTS_REPORT at the end: a line "name calls injected" for each call.
 *
 * About a read cut short. epoll(7) promises that a stream which gave less than was asked for is drained, and
 * that the next byte makes a new event. A cut that left bytes behind and said nothing would break that
 * promise, and what then hangs is right to hang. So the shim asks epoll to look at the socket again after
 * each cut: it is as if the rest came, or the room was made, just behind this call.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum call { RECV, SEND, ACCEPT4, CONNECT, SOCKET, EPOLL_CREATE1, EPOLL_ADD, EPOLL_DEL, EPOLL_WAIT, EVENTFD,
            PTHREAD_CREATE, STORM, CALLS };

static const char *const NAMES[CALLS] = { "recv", "send", "accept4", "connect", "socket", "epoll_create1",
    "epoll_add", "epoll_del", "epoll_wait", "eventfd", "pthread_create", "storm" };

static const struct { const char *name; int number; } ERRORS[] = {
    { "EAGAIN", EAGAIN }, { "EBADF", EBADF }, { "ECONNABORTED", ECONNABORTED }, { "ECONNREFUSED", ECONNREFUSED },
    { "ECONNRESET", ECONNRESET }, { "EINTR", EINTR }, { "EMFILE", EMFILE }, { "ENFILE", ENFILE },
    { "ENOBUFS", ENOBUFS }, { "ENOMEM", ENOMEM }, { "ENOSPC", ENOSPC }, { "EPERM", EPERM }, { "EPIPE", EPIPE },
    { "EPROTO", EPROTO },
};

struct rule { enum call call; int error; size_t most; unsigned long first, last, every; };

static struct rule rules[16];
static int rule_count;
static unsigned long calls[CALLS], injected[CALLS];
static int storming;

/* A rule that nobody understands must not pass for a fault that never came. */
static void refuse(const char *rule) {
    fprintf(stderr, "the fault shim does not understand the rule \"%s\"\n", rule);
    abort();
}

static enum call named(const char *name) {
    for (int call = 0; call < CALLS; call++)
        if (strcmp(name, NAMES[call]) == 0) return call;
    refuse(name);
    return CALLS;
}

static struct rule parse(const char *text) {
    char name[24], what[24];
    int used = 0;
    if (sscanf(text, "%23[a-z_0-9]:%23[A-Za-z=0-9]%n", name, what, &used) < 2) refuse(text);
    struct rule rule = { .call = named(name), .most = SIZE_MAX, .first = 1, .last = -1UL, .every = 1 };
    if (sscanf(what, "short=%zu", &rule.most) != 1) {
        for (size_t i = 0; i < sizeof ERRORS / sizeof *ERRORS; i++)
            if (strcmp(what, ERRORS[i].name) == 0) rule.error = ERRORS[i].number;
        if (rule.error == 0) refuse(text);
    }
    char *rest = (char *)text + used;
    if (*rest == '@') {
        rule.first = rule.last = strtoul(rest + 1, &rest, 10);
        if (*rest == '-') rule.last = strtoul(rest + 1, &rest, 10);
    }
    if (*rest == '/') rule.every = strtoul(rest + 1, &rest, 10);
    if (*rest != '\0' || rule.every == 0 || rule.most == 0) refuse(text);
    return rule;
}

/* From now on these rules hold and no others, and the calls are counted anew. */
static void set_rules(const char *text) {
    char copy[512];
    __atomic_store_n(&rule_count, 0, __ATOMIC_RELEASE);
    memset(calls, 0, sizeof calls);
    memset(injected, 0, sizeof injected);
    snprintf(copy, sizeof copy, "%s", text);
    char *save, *part = strtok_r(copy, ",", &save);
    int count = 0;
    for (; part != NULL; part = strtok_r(NULL, ",", &save)) {
        if (strcmp(part, "storm") == 0) storming = 1;
        else if (strcmp(part, "sigpipe") == 0) signal(SIGPIPE, SIG_DFL);
        else if (count < 16) rules[count++] = parse(part);
        else refuse(part);
    }
    __atomic_store_n(&rule_count, count, __ATOMIC_RELEASE);
}

/* Counts a call. True if it is to fail, and then errno says how; otherwise `most` is what it may move. */
static int fails(enum call call, size_t *most) {
    unsigned long number = __atomic_add_fetch(&calls[call], 1, __ATOMIC_RELAXED);
    int count = __atomic_load_n(&rule_count, __ATOMIC_ACQUIRE);
    for (struct rule *rule = rules; rule < rules + count; rule++) {
        if (rule->call != call || number < rule->first || number > rule->last || number % rule->every) continue;
        if (rule->error == 0) {
            if (most != NULL && rule->most < *most) *most = rule->most;
            continue;
        }
        __atomic_add_fetch(&injected[call], 1, __ATOMIC_RELAXED);
        errno = rule->error;
        return 1;
    }
    return 0;
}

/* What each descriptor was registered with, to have epoll look at it again. */
static struct { int epoll; struct epoll_event event; } watched[1 << 16];
static const int MOST_WATCHED = sizeof watched / sizeof *watched;

static void look_again(int fd) {
    int before = errno;
    if (fd < MOST_WATCHED && watched[fd].epoll != 0)
        syscall(SYS_epoll_ctl, watched[fd].epoll, EPOLL_CTL_MOD, fd, &watched[fd].event);
    errno = before;
}

/* All reading and writing of sockets. A peek is left whole: it takes nothing away. */
static ssize_t transfer(enum call call, int fd, const struct iovec *parts, size_t count, int flags) {
    size_t most = SIZE_MAX, wanted = 0;
    if (fails(call, &most)) return -1;
    for (size_t i = 0; i < count; i++) wanted += parts[i].iov_len;
    struct msghdr message = { .msg_iov = (struct iovec *)parts, .msg_iovlen = count };
    struct iovec cut;
    int is_cut = most < wanted && !(flags & MSG_PEEK);
    if (is_cut) {
        while (parts->iov_len == 0) parts++;
        cut = *parts;
        if (cut.iov_len > most) cut.iov_len = most;
        message.msg_iov = &cut;
        message.msg_iovlen = 1;
    }
    ssize_t moved = syscall(call == RECV ? SYS_recvmsg : SYS_sendmsg, fd, &message, flags);
    if (is_cut && moved > 0) {
        __atomic_add_fetch(&injected[call], 1, __ATOMIC_RELAXED);
        look_again(fd);
    }
    return moved;
}

static int is_socket(int fd) {
    struct stat status;
    int before = errno, known = fstat(fd, &status);
    errno = before;
    return known == 0 && S_ISSOCK(status.st_mode);
}

ssize_t recv(int fd, void *buf, size_t size, int flags) {
    return transfer(RECV, fd, &(struct iovec){ buf, size }, 1, flags);
}

ssize_t read(int fd, void *buf, size_t size) {
    return is_socket(fd) ? recv(fd, buf, size, 0) : syscall(SYS_read, fd, buf, size);
}

ssize_t readv(int fd, const struct iovec *parts, int count) {
    return is_socket(fd) ? transfer(RECV, fd, parts, count, 0) : syscall(SYS_readv, fd, parts, count);
}

ssize_t send(int fd, const void *buf, size_t size, int flags) {
    return transfer(SEND, fd, &(struct iovec){ (void *)buf, size }, 1, flags);
}

ssize_t write(int fd, const void *buf, size_t size) {
    return is_socket(fd) ? send(fd, buf, size, 0) : syscall(SYS_write, fd, buf, size);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    return is_socket(fd) ? transfer(SEND, fd, parts, count, 0) : syscall(SYS_writev, fd, parts, count);
}

int accept4(int fd, struct sockaddr *restrict addr, socklen_t *restrict size, int flags) {
    return fails(ACCEPT4, NULL) ? -1 : syscall(SYS_accept4, fd, addr, size, flags);
}

int connect(int fd, const struct sockaddr *addr, socklen_t size) {
    return fails(CONNECT, NULL) ? -1 : syscall(SYS_connect, fd, addr, size);
}

int socket(int domain, int type, int protocol) {
    return fails(SOCKET, NULL) ? -1 : syscall(SYS_socket, domain, type, protocol);
}

int epoll_create1(int flags) {
    return fails(EPOLL_CREATE1, NULL) ? -1 : syscall(SYS_epoll_create1, flags);
}

int eventfd(unsigned int count, int flags) {
    return fails(EVENTFD, NULL) ? -1 : syscall(SYS_eventfd2, count, flags);
}

int epoll_ctl(int epoll, int what, int fd, struct epoll_event *event) {
    if (what == EPOLL_CTL_ADD && fails(EPOLL_ADD, NULL)) return -1;
    if (what == EPOLL_CTL_DEL && fails(EPOLL_DEL, NULL)) return -1;
    if (fd >= 0 && fd < MOST_WATCHED) {
        watched[fd].epoll = what == EPOLL_CTL_DEL ? 0 : epoll;
        if (event != NULL) watched[fd].event = *event;
    }
    return syscall(SYS_epoll_ctl, epoll, what, fd, event);
}

static pthread_key_t storms;

static void count_signal(int signal) {
    (void)signal;
    __atomic_add_fetch(&injected[STORM], 1, __ATOMIC_RELAXED);
}

static void end_storm(void *timer) {
    timer_delete(*(timer_t *)timer);
}

/* A signal to the process would always find the main thread, which waits for the tests and for nothing else.
 * So each thread that waits in epoll has a timer of its own. */
static void begin_storm(void) {
    static __thread timer_t timer;
    if (!storming || pthread_getspecific(storms) != NULL) return;
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM };
    event._sigev_un._tid = gettid();
    struct itimerspec every = { { 0, 1000000 }, { 0, 1000000 } };
    if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) return;
    pthread_setspecific(storms, &timer);
    timer_settime(timer, 0, &every, NULL);
}

int epoll_wait(int epoll, struct epoll_event *events, int most, int timeout) {
    begin_storm();
    return fails(EPOLL_WAIT, NULL) ? -1 : syscall(SYS_epoll_pwait, epoll, events, most, timeout, NULL, 8);
}

int pthread_create(pthread_t *restrict thread, const pthread_attr_t *restrict attributes, void *(*run)(void *),
                   void *restrict with) {
    if (fails(PTHREAD_CREATE, NULL)) return errno;
    int (*next)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    *(void **)&next = dlsym(RTLD_NEXT, "pthread_create");
    return next(thread, attributes, run, with);
}

/* The door, by which safe Rust speaks to the shim: `read_link("faults=RULES")` sets the rules, and
 * `read_link("faults?NAME")` gives "calls injected". No file is called so. */
ssize_t readlink(const char *restrict path, char *restrict buf, size_t size) {
    if (strncmp(path, "faults=", 7) == 0) {
        set_rules(path + 7);
        return snprintf(buf, size, "set");
    }
    if (strncmp(path, "faults?", 7) == 0) {
        enum call call = named(path + 7);
        return snprintf(buf, size, "%lu %lu", calls[call], injected[call]);
    }
    return syscall(SYS_readlinkat, AT_FDCWD, path, buf, size);
}

__attribute__((constructor)) static void begin(void) {
    struct sigaction action = { .sa_handler = count_signal };  /* no SA_RESTART: calls are to be interrupted */
    const char *text = getenv("ROUNDEL_FAULTS");
    set_rules(text == NULL ? "" : text);
    pthread_key_create(&storms, end_storm);
    if (storming) sigaction(SIGALRM, &action, NULL);
}

__attribute__((destructor)) static void report(void) {
    const char *path = getenv("ROUNDEL_FAULTS_REPORT");
    int file = path == NULL ? -1 : open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (file < 0) return;
    for (int call = 0; call < CALLS; call++) dprintf(file, "%s %lu %lu\n", NAMES[call], calls[call], injected[call]);
    close(file);
}
