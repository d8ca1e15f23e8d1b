// Pid 1 of a cell: trusted, tiny, and alive for as long as the cell. It starts processes on command, so that /tmp and the
// namespaces outlive a runtime; it reaps whatever dies; it kills everything but itself on command.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cell.h"

static struct {
    uint32_t id;
    pid_t pid;  // 0: a free slot
} processes[MAX_PROCESSES];

static uint8_t message[MAX_MESSAGE_BYTES];
static char *argv[MAX_ARGUMENTS + 1];
static char *envp[MAX_VARIABLES + 1];
static bool killing;
static int null_fd = -1;

void init_drop_capabilities(const struct spec *spec) {
    int held;  // -1 past the last one that this kernel knows
    for (int capability = 0; (held = prctl(PR_CAPBSET_READ, capability, 0, 0, 0)) >= 0; capability++)
        if (held == 1 && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0)
            fail("drop capabilities", errno, "bounding set");
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    uint32_t kept = 1u << CAP_KILL;
    if (!has(spec, SPEC_USER)) kept |= 1u << CAP_SETUID | 1u << CAP_SETGID | 1u << CAP_CHOWN;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{.effective = kept, .permitted = kept}};
    if (syscall(SYS_capset, &header, data) != 0) fail("drop capabilities", errno, "capset");
}

static void report_start_failed(uint32_t id, int error, const char *stage, const char *text) {
    struct writer w;
    write_begin(&w, REPORT_START_FAILED);
    write_u32(&w, id);
    write_u32(&w, (uint32_t)error);
    write_string(&w, stage);
    write_string(&w, text);
    report_send(&w, NULL, 0);
}

static bool read_list(struct reader *r, char **list, uint32_t capacity) {
    uint32_t count = read_u32(r);
    if (count > capacity) return false;
    for (uint32_t i = 0; i < count; i++) list[i] = (char *)read_string(r);
    list[count] = NULL;
    return !r->bad;
}

// Forks and waits until the child has executed its program or said why not.
static void launch(const struct spec *spec, struct process_start *start, int slot) {
    int report[2];
    if (pipe2(report, O_CLOEXEC) != 0) return report_start_failed(start->id, errno, "pipe", "");
    start->error_fd = report[1];
    pid_t pid = fork();
    if (pid == 0) process_main(spec, start);
    int error = errno;
    close(report[1]);
    if (pid < 0) {
        close(report[0]);
        return report_start_failed(start->id, error, "fork", "the cell is at its limit of processes or memory");
    }
    struct exec_failure failure = {0};
    ssize_t count;
    while ((count = read(report[0], &failure, sizeof failure)) < 0 && errno == EINTR) continue;
    close(report[0]);
    if (count == (ssize_t)sizeof failure) {
        failure.stage[sizeof failure.stage - 1] = 0;
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
        return report_start_failed(start->id, failure.error, failure.stage, start->argv[0]);
    }
    processes[slot].id = start->id;
    processes[slot].pid = pid;
    struct writer w;
    write_begin(&w, REPORT_STARTED);
    write_u32(&w, start->id);
    report_send(&w, NULL, 0);
}

static void command_start(const struct spec *spec, struct reader *r, const int *fds, int fd_count) {
    struct process_start start = {.argv = argv, .envp = envp, .stdin_fd = null_fd};
    start.id = read_u32(r);
    start.cwd = read_string(r);
    bool whole = read_list(r, argv, MAX_ARGUMENTS) && read_list(r, envp, MAX_VARIABLES) && r->at == r->end;
    if (!whole || argv[0] == NULL) return report_start_failed(start.id, EPROTO, "start", "malformed command");
    if (fd_count != 2) return report_start_failed(start.id, EBADF, "start", "stdout and stderr are missing");
    if (killing) return report_start_failed(start.id, EBUSY, "start", "the cell's processes are being killed");
    start.stdout_fd = fds[0];
    start.stderr_fd = fds[1];
    int slot = -1;
    for (int i = 0; i < MAX_PROCESSES; i++) {
        if (processes[i].pid != 0 && processes[i].id == start.id)
            return report_start_failed(start.id, EEXIST, "start", "a process of this id is running");
        if (processes[i].pid == 0 && slot < 0) slot = i;
    }
    if (slot < 0) return report_start_failed(start.id, EAGAIN, "start", "too many processes started");
    launch(spec, &start, slot);
}

static void command_signal(struct reader *r) {
    uint32_t id = read_u32(r), number = read_u32(r);
    if (r->bad || number == 0 || number > 64) return;
    for (int i = 0; i < MAX_PROCESSES; i++)
        if (processes[i].pid != 0 && processes[i].id == id) kill(processes[i].pid, (int)number);
}

static void kill_everything(const struct spec *spec) {
    // With a pid namespace one call reaches every process at once and no fork escapes it.
    // Never outside one: -1 would be everybody.
    if (has(spec, SPEC_NAMESPACES) && getpid() == 1) kill(-1, SIGKILL);
    else kill_children();
}

static void report_exit(pid_t pid, int status) {
    for (int i = 0; i < MAX_PROCESSES; i++) {
        if (processes[i].pid != pid) continue;
        processes[i].pid = 0;
        struct writer w;
        write_begin(&w, REPORT_EXITED);
        write_u32(&w, processes[i].id);
        write_u32(&w, WIFSIGNALED(status) ? 1 : 0);
        write_u32(&w, (uint32_t)(WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status)));
        report_send(&w, NULL, 0);
    }
}

static void reap_all(const struct spec *spec) {
    for (;;) {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid > 0) {
            report_exit(pid, status);
            continue;
        }
        if (pid < 0 && errno == EINTR) continue;
        if (killing && pid < 0) {  // no child is left
            killing = false;
            struct writer w;
            write_begin(&w, REPORT_ALL_KILLED);
            report_send(&w, NULL, 0);
        } else if (killing) {
            kill_everything(spec);  // those that became ours meanwhile
        }
        return;
    }
}

// Answers false at the end of the control socket.
static bool serve(const struct spec *spec) {
    int fds[MAX_PASSED_FDS], fd_count;
    struct reader r;
    long length = message_receive(message, sizeof message, fds, &fd_count);
    if (length == 0 || (length < 0 && errno != EMSGSIZE)) return false;
    if (length > 0) {
        switch (message_begin(&r, message, (size_t)length)) {
        case COMMAND_START: command_start(spec, &r, fds, fd_count); break;
        case COMMAND_SIGNAL: command_signal(&r); break;
        case COMMAND_KILL_ALL:
            killing = true;
            kill_everything(spec);
            reap_all(spec);
            break;
        default: break;  // a newer server's command; it gets no answer and times out
        }
    }
    for (int i = 0; i < fd_count; i++) close(fds[i]);
    return true;
}

static void await(int go_fd, void *into, size_t size) {
    ssize_t count;
    while ((count = read(go_fd, into, size)) < 0 && errno == EINTR) continue;
    if (count != (ssize_t)size) _exit(1);  // the monitor failed and has said so
}

static void report_ready(const struct spec *spec, uint32_t pid, const int *fds, const uint32_t *ports) {
    struct writer w;
    write_begin(&w, REPORT_READY);
    write_u32(&w, pid);
    write_u32(&w, spec->listener_count);
    for (uint32_t i = 0; i < spec->listener_count; i++) write_u32(&w, ports[i]);
    report_send(&w, fds, (int)spec->listener_count);
    for (uint32_t i = 0; i < spec->listener_count; i++) close(fds[i]);
}

_Noreturn void init_main(const struct spec *spec, int go_fd) {
    static int fds[MAX_LISTENERS];
    static uint32_t ports[MAX_LISTENERS];
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "martlet-init");
    char mapped;
    if (has(spec, SPEC_USER)) await(go_fd, &mapped, 1);
    if (has(spec, SPEC_NAMESPACES)) {
        net_set_up(spec);
        mounts_set_up(spec);
        seccomp_build();
    } else {
        prctl(PR_SET_CHILD_SUBREAPER, 1);
    }
    net_listen(spec, fds, ports);
    null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (null_fd < 0) fail("open /dev/null", errno, "/dev/null");

    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_SETMASK, &child, NULL);
    int signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0) fail("signalfd", errno, "signalfd");

    uint32_t pid;
    await(go_fd, &pid, sizeof pid);
    close(go_fd);
    if (has(spec, SPEC_NAMESPACES)) {
        // Only now, in its control groups, so that these are the roots that the cell sees: /proc/self/cgroup would name the
        // server's process and the function's groups on the host. EINVAL: a kernel without such namespaces.
        if (unshare(CLONE_NEWCGROUP) != 0 && errno != EINVAL)
            fail("create namespaces", errno, "control group namespace");
        init_drop_capabilities(spec);
        prctl(PR_SET_DUMPABLE, 0);
    }
    report_ready(spec, pid, fds, ports);

    struct pollfd waits[2] = {{.fd = CONTROL_FD, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    for (;;) {
        if (poll(waits, 2, -1) < 0) continue;
        if (waits[1].revents != 0) {
            struct signalfd_siginfo seen;
            while (read(signals, &seen, sizeof seen) > 0) continue;
            reap_all(spec);
        }
        if (waits[0].revents != 0 && !serve(spec)) break;
    }
    // The server is gone. With a pid namespace this exit takes everything along; without one the monitor does.
    if (!has(spec, SPEC_NAMESPACES)) kill_children();
    _exit(0);
}
