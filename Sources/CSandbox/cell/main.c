// The monitor: outside the cell, in the server's namespaces, one per cell. It owns nothing but the two ways in which a
// cell ends.
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cell.h"

static uint8_t message[MAX_MESSAGE_BYTES];
static struct spec spec;

_Noreturn void fail(const char *stage, int error, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    report_failed(stage, error, text);
    _exit(1);
}

void kill_children(void) {
    // A walk over /proc, because /proc/self/task/*/children is not in every kernel. Only used without a pid namespace.
    DIR *directory = opendir("/proc");
    if (directory == NULL) return;
    pid_t self = getpid();
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
        char path[64], text[512];
        snprintf(path, sizeof path, "/proc/%.20s/stat", entry->d_name);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) continue;
        ssize_t length = read(fd, text, sizeof text - 1);
        close(fd);
        if (length <= 0) continue;
        text[length] = 0;
        const char *end = strrchr(text, ')');  // the name before it may hold anything
        int parent = 0;
        if (end == NULL || sscanf(end, ") %*c %d", &parent) != 1 || parent != self) continue;
        kill((pid_t)atoi(entry->d_name), SIGKILL);
    }
    closedir(directory);
}

static void parse_groups(struct reader *r) {
    spec.group_count = read_u32(r);
    if (spec.group_count > MAX_GROUPS) fail("spec", E2BIG, "more than %d control groups", MAX_GROUPS);
    for (uint32_t i = 0; i < spec.group_count; i++) spec.groups[i] = read_string(r);
    spec.thaw_file = read_string(r);
    spec.thaw_text = read_string(r);
    if (r->bad || r->at != r->end) fail("spec", EPROTO, "malformed spec");
}

static void parse_spec(size_t length) {
    struct reader r;
    if (message_begin(&r, message, length) != COMMAND_SPEC)
        fail("spec", EPROTO, "the server and martlet-cell are of different versions: install them from one build");
    spec.flags = read_u32(&r);
    spec.uid = read_u32(&r);
    spec.gid = read_u32(&r);
    spec.tmp_bytes = read_u64(&r);
    spec.processes = read_u32(&r);
    spec.open_files = read_u32(&r);
    spec.hostname = read_string(&r);
    spec.listener_count = read_u32(&r);
    if (spec.listener_count > MAX_LISTENERS) fail("spec", E2BIG, "more than %d listeners", MAX_LISTENERS);
    for (uint32_t i = 0; i < spec.listener_count; i++) {
        spec.listeners[i].host = read_string(&r);
        spec.listeners[i].port = read_u32(&r);
    }
    spec.bind_count = read_u32(&r);
    if (spec.bind_count > MAX_BINDS) fail("spec", E2BIG, "more than %d binds", MAX_BINDS);
    for (uint32_t i = 0; i < spec.bind_count; i++) {
        spec.binds[i].flags = read_u32(&r);
        spec.binds[i].source = read_string(&r);
        spec.binds[i].target = read_string(&r);
    }
    spec.link_count = read_u32(&r);
    if (spec.link_count > MAX_LINKS) fail("spec", E2BIG, "more than %d links", MAX_LINKS);
    for (uint32_t i = 0; i < spec.link_count; i++) {
        spec.links[i].text = read_string(&r);
        spec.links[i].target = read_string(&r);
    }
    parse_groups(&r);
}

static int write_file(const char *path, const char *text) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return errno;
    int error = write(fd, text, strlen(text)) < 0 ? errno : 0;
    close(fd);
    return error;
}

// Maps one user: the server's own, as an unprivileged user may.
static void map_user(pid_t child) {
    char path[64], text[64];
    snprintf(path, sizeof path, "/proc/%d/setgroups", child);
    int error = write_file(path, "deny");
    if (error != 0) fail("map the user", error, "%s", path);
    snprintf(path, sizeof path, "/proc/%d/uid_map", child);
    snprintf(text, sizeof text, "%u %u 1\n", spec.uid, geteuid());
    if ((error = write_file(path, text)) != 0) fail("map the user", error, "%s", path);
    snprintf(path, sizeof path, "/proc/%d/gid_map", child);
    snprintf(text, sizeof text, "%u %u 1\n", spec.gid, getegid());
    if ((error = write_file(path, text)) != 0) fail("map the user", error, "%s", path);
}

static void attach(pid_t child) {
    char path[PATH_MAX], text[32];
    snprintf(text, sizeof text, "%d\n", child);
    for (uint32_t i = 0; i < spec.group_count; i++) {
        snprintf(path, sizeof path, "%s/cgroup.procs", spec.groups[i]);
        int error = write_file(path, text);
        if (error != 0) fail("attach to the control group", error, "%s", path);
    }
}

// Removes the groups in `parent` that hold nobody, and answers whether there was one: a server that is killed between making a
// group and starting the cell for it leaves it to nobody.
static bool remove_empty(const char *parent) {
    DIR *names = opendir(parent);
    if (names == NULL) return false;
    bool found = false;
    for (struct dirent *entry; (entry = readdir(names)) != NULL;) {
        if (entry->d_type != DT_DIR || entry->d_name[0] == '.') continue;
        if (unlinkat(dirfd(names), entry->d_name, AT_REMOVEDIR) == 0) found = true;
    }
    closedir(names);
    return found;
}

static void remove_groups(bool server_gone) {
    const struct timespec pause = {.tv_nsec = 1000000};
    // On a busy machine the dead take their time; with the server gone nobody waits for it.
    const int attempts = server_gone ? 5000 : 200;
    for (uint32_t i = 0; i < spec.group_count; i++) {
        // The kernel lets go of the last process a moment after it was reaped.
        for (int attempt = 0; attempt < attempts && rmdir(spec.groups[i]) != 0 && errno == EBUSY; attempt++)
            nanosleep(&pause, NULL);
        if (!server_gone) continue;
        char parent[PATH_MAX];
        snprintf(parent, sizeof parent, "%s", spec.groups[i]);
        char *slash = strrchr(parent, '/');
        if (slash != NULL) {
            *slash = 0;
            // Only the last cell of a dead server succeeds, and the kernel counts a removed group a moment longer than it shows it.
            struct stat status;
            for (int attempt = 0; attempt < attempts && rmdir(parent) != 0 && errno == EBUSY; attempt++) {
                if (stat(parent, &status) != 0) break;
                if (status.st_nlink > 2 && !remove_empty(parent)) break;  // others are there, and come by
                nanosleep(&pause, NULL);
            }
        }
    }
}

static pid_t clone_init(const int go[2], unsigned long flags) {
    if (has(&spec, SPEC_NAMESPACES)) {
        flags |= CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
        if (has(&spec, SPEC_NETWORK)) flags |= CLONE_NEWNET;
        if (has(&spec, SPEC_USER)) flags |= CLONE_NEWUSER;
    }
    // A fork with namespaces: no shared memory and the same stack, so the raw call is safe in this one thread.
    pid_t child = (pid_t)syscall(SYS_clone, flags, 0, 0, 0, 0);
    if (child < 0) {
        int error = errno;
        const char *remedy = has(&spec, SPEC_USER)
            ? "unprivileged user namespaces are off or used up: see user.max_user_namespaces, "
              "kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns"
            : "the server needs CAP_SYS_ADMIN to make namespaces";
        fail("create namespaces", error, "%s", remedy);
    }
    if (child == 0) {
        close(go[1]);
        init_main(&spec, go[0]);
    }
    return child;
}

static void reap(pid_t child, int *status) {
    while (waitpid(child, status, 0) < 0 && errno == EINTR) continue;
}

// Without a pid namespace the death of init does not take the others with it; they have become this process's.
static void kill_orphans(void) {
    if (has(&spec, SPEC_NAMESPACES)) return;
    for (;;) {
        kill_children();
        pid_t pid = waitpid(-1, NULL, 0);
        if (pid < 0 && errno == ECHILD) return;
    }
}

static void tell_gone(int status) {
    char text[128];
    if (WIFSIGNALED(status)) snprintf(text, sizeof text, "the cell's init was killed by signal %d", WTERMSIG(status));
    else snprintf(text, sizeof text, "the cell's init exited with status %d", WEXITSTATUS(status));
    struct writer w;
    write_begin(&w, REPORT_GONE);
    write_string(&w, text);
    report_send(&w, NULL, 0);
}

// Lets init go on, in two steps, so that the mounts are made while the control groups are slow.
static void admit(pid_t child, int go, bool attached) {
    // When init is dead already the writes fail, and the wait that follows says so.
    if (has(&spec, SPEC_USER)) {
        map_user(child);
        if (write(go, "m", 1) < 0) kill(child, SIGKILL);
    }
    if (!attached) attach(child);
    uint32_t pid = (uint32_t)child;
    if (write(go, &pid, sizeof pid) < 0) kill(child, SIGKILL);
    close(go);
}

struct birth {
    uint32_t pid, flags, uid, gid;
};

// A prepared cell: a process that waits in the control groups for the spec and gives birth to init there. Moving a process
// into a control group takes the kernel 5 to 15 ms after an idle moment; being born in one takes nothing.
static _Noreturn void nurse(const int go[2], int birth_fd) {
    int fds[MAX_PASSED_FDS], count;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(go[1]);
    long length = message_receive(message, sizeof message, fds, &count);
    if (length <= 0) _exit(0);
    parse_spec((size_t)length);
    const int init_go[2] = {go[0], birth_fd};  // init closes the second
    pid_t child = clone_init(init_go, SIGCHLD | CLONE_PARENT);
    struct birth birth = {(uint32_t)child, spec.flags, spec.uid, spec.gid};
    if (write(birth_fd, &birth, sizeof birth) < 0) kill(child, SIGKILL);
    _exit(0);
}

// Answers init's pid, or 0 when the server went away, or what went wrong has been reported, before there was one.
static pid_t await_birth(const int go[2]) {
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC) != 0) fail("pipe", errno, "pipe2");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    pid_t nurse_pid = fork();
    if (nurse_pid < 0) fail("prepare", errno, "fork");
    if (nurse_pid == 0) {
        close(pipes[0]);
        nurse(go, pipes[1]);
    }
    close(pipes[1]);
    close(go[0]);
    attach(nurse_pid);
    struct writer w;
    write_begin(&w, REPORT_PREPARED);
    report_send(&w, NULL, 0);
    struct birth birth;
    ssize_t count;
    while ((count = read(pipes[0], &birth, sizeof birth)) < 0 && errno == EINTR) continue;
    close(pipes[0]);
    int status;
    reap(nurse_pid, &status);
    if (count != (ssize_t)sizeof birth) return 0;
    spec.flags = birth.flags;
    spec.uid = birth.uid;
    spec.gid = birth.gid;
    return (pid_t)birth.pid;
}

int main(void) {
    int type = 0, count;
    socklen_t size = sizeof type;
    if (getsockopt(CONTROL_FD, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_SEQPACKET) {
        fputs("martlet-cell is started by the Martlet server, with a control socket; not by hand.\n", stderr);
        return 2;
    }
    pid_t server = getppid();
    setsid();  // the terminal's signals are the server's business
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_IGN);
    umask(0022);
    syscall(SYS_close_range, CONTROL_FD + 1, ~0U, 0);
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; null >= 0 && fd < CONTROL_FD; fd++) dup2(null, fd);
    if (null > CONTROL_FD) close(null);
    fcntl(CONTROL_FD, F_SETFD, FD_CLOEXEC);
    int fds[MAX_PASSED_FDS];
    long length = message_receive(message, sizeof message, fds, &count);
    if (length <= 0) return 1;
    int go[2];
    if (pipe2(go, O_CLOEXEC) != 0) fail("pipe", errno, "pipe2");
    struct reader r;
    pid_t child;
    bool prepared = message_begin(&r, message, (size_t)length) == COMMAND_PREPARE;
    if (prepared) {
        parse_groups(&r);
        child = await_birth(go);
        if (child == 0) {
            remove_groups(getppid() != server);
            return 0;
        }
    } else {
        parse_spec((size_t)length);
        if (!has(&spec, SPEC_NAMESPACES)) prctl(PR_SET_CHILD_SUBREAPER, 1);
        child = clone_init(go, SIGCHLD);
        close(go[0]);
    }
    int watch = (int)syscall(SYS_pidfd_open, child, 0);
    if (watch < 0) fail("watch init", errno, "pidfd_open needs Linux 5.3");
    admit(child, go[1], prepared);

    struct pollfd waits[2] = {{.fd = CONTROL_FD, .events = 0}, {.fd = watch, .events = POLLIN}};
    while (poll(waits, 2, -1) < 0 || (waits[0].revents == 0 && waits[1].revents == 0)) continue;
    bool asked = waits[0].revents != 0;
    // Kill first, then thaw: a frozen process (v1) meets the signal before it runs another instruction.
    kill(child, SIGKILL);
    if (spec.thaw_file[0] != 0) write_file(spec.thaw_file, spec.thaw_text);
    int status = 0;
    reap(child, &status);
    kill_orphans();
    if (!asked) tell_gone(status);
    remove_groups(asked && getppid() != server);
    return 0;
}
