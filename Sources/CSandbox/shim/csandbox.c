#define _GNU_SOURCE
#include "csandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_PASSED_FDS = 8, CONTROL_FD = 3 };

union control_buffer {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int) * MAX_PASSED_FDS)];
};

int martlet_socket_pair(int fds[2]) {
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) == 0 ? 0 : -errno;
}

int martlet_pipe(int fds[2]) {
    if (pipe2(fds, O_CLOEXEC) != 0) return -errno;
    if (fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0) return 0;
    int error = errno;
    close(fds[0]);
    close(fds[1]);
    return -error;
}

int martlet_spawn(const char *path, int control, pid_t *pid) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    if (posix_spawn_file_actions_init(&actions) != 0) return -ENOMEM;
    if (posix_spawnattr_init(&attributes) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return -ENOMEM;
    }
    char *arguments[] = {(char *)"martlet-cell", NULL};
    char *environment[] = {NULL};
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    int error = posix_spawn_file_actions_adddup2(&actions, control, CONTROL_FD);
    if (error == 0) error = posix_spawn(pid, path, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -error;
}

long martlet_send(int socket, const void *bytes, size_t count, const int *fds, int fd_count) {
    union control_buffer control;
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd_count < 0 || fd_count > MAX_PASSED_FDS) return -EINVAL;
    if (fd_count > 0) {
        size_t size = sizeof(int) * (size_t)fd_count;
        memset(&control, 0, sizeof control);
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(size);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(size);
        memcpy(CMSG_DATA(header), fds, size);
    }
    for (;;) {
        ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) return (long)sent;
        if (errno != EINTR) return -errno;
    }
}

long martlet_receive(int socket, void *bytes, size_t capacity, int *fds, int fds_max, int *fd_count) {
    union control_buffer control;
    struct iovec part = {.iov_base = bytes, .iov_len = capacity};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t length;
    *fd_count = 0;
    do {
        length = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    } while (length < 0 && errno == EINTR);
    if (length < 0) return -errno;
    for (struct cmsghdr *h = CMSG_FIRSTHDR(&message); h != NULL; h = CMSG_NXTHDR(&message, h)) {
        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS) continue;
        size_t count = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof fd);
            if (*fd_count < fds_max) fds[(*fd_count)++] = fd;
            else close(fd);
        }
    }
    if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0) return (long)length;
    for (int i = 0; i < *fd_count; i++) close(fds[i]);
    *fd_count = 0;
    return -EMSGSIZE;
}

static long milliseconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int martlet_await_readable(int fd, int milliseconds) {
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    long end = milliseconds_now() + milliseconds;
    for (;;) {
        long left = end - milliseconds_now();
        int ready = poll(&wait, 1, left > 0 ? (int)left : 0);
        if (ready >= 0) return ready;
        if (errno != EINTR) return -errno;
    }
}

int martlet_await_exit(pid_t pid, int milliseconds) {
    int watch = (int)syscall(SYS_pidfd_open, pid, 0);
    if (watch >= 0) {
        int ready = martlet_await_readable(watch, milliseconds);
        close(watch);
        if (ready <= 0) return ready == 0 ? -ETIMEDOUT : ready;
    }
    while (waitpid(pid, NULL, 0) < 0)
        if (errno != EINTR) return -errno;
    return 0;
}
