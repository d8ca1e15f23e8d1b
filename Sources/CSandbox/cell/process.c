// Between fork and execve: what a started process gives up. In order, because each step needs what a later one drops.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cell.h"

enum {
    ERROR_FD = 3,
    LOCKED_MEMORY_BYTES = 65536,  // the kernel's old default; secrets fit, hoarding does not
};

static _Noreturn void give_up(const char *stage) {
    struct exec_failure failure = {.error = errno};
    strncpy(failure.stage, stage, sizeof failure.stage - 1);
    if (write(ERROR_FD, &failure, sizeof failure) < 0) _exit(126);
    _exit(127);
}

static void limit(int resource, rlim_t value) {
    struct rlimit now;
    if (getrlimit(resource, &now) == 0 && now.rlim_max < value) value = now.rlim_max;
    struct rlimit wanted = {.rlim_cur = value, .rlim_max = value};
    if (setrlimit(resource, &wanted) != 0) give_up("setrlimit");
}

static void arrange_descriptors(const struct process_start *start) {
    // Lift all four above the places that they go to, so that none overwrites another.
    int from[4] = {start->stdin_fd, start->stdout_fd, start->stderr_fd, start->error_fd};
    for (int i = 0; i < 4; i++) {
        from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, 16);
        if (from[i] < 0) _exit(126);
    }
    if (dup3(from[3], ERROR_FD, O_CLOEXEC) < 0) _exit(126);  // over the control socket
    for (int i = 0; i < 3; i++)
        if (dup2(from[i], i) < 0) give_up("dup2");
    if (syscall(SYS_close_range, ERROR_FD + 1, ~0U, 0) != 0) give_up("close_range");
}

static void clear_signals(void) {
    for (int number = 1; number < 65; number++) signal(number, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void prefer_as_victim(void) {
    // Out of memory, a function's process goes before the cell's init, and before the server.
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0) return;
    if (write(fd, "500", 3) < 0) { /* only a preference */ }
    close(fd);
}

static void drop_privileges(const struct spec *spec) {
    if (!has(spec, SPEC_USER)) {
        if (setgroups(0, NULL) != 0) give_up("setgroups");
        if (setresgid(spec->gid, spec->gid, spec->gid) != 0) give_up("setresgid");
        if (setresuid(spec->uid, spec->uid, spec->uid) != 0) give_up("setresuid");
    }
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    if (syscall(SYS_capset, &header, none) != 0) give_up("capset");
}

_Noreturn void process_main(const struct spec *spec, const struct process_start *start) {
    bool isolated = has(spec, SPEC_NAMESPACES);
    arrange_descriptors(start);
    clear_signals();
    setsid();
    prefer_as_victim();
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_MEMLOCK, LOCKED_MEMORY_BYTES);
    if (spec->open_files != 0) limit(RLIMIT_NOFILE, spec->open_files);
    if (isolated && spec->processes != 0) limit(RLIMIT_NPROC, spec->processes);
    if (isolated) {
        // So that /dev/stdout and /dev/stderr can be opened again by name.
        if (!has(spec, SPEC_USER) && (fchown(1, spec->uid, spec->gid) != 0 || fchown(2, spec->uid, spec->gid) != 0))
            give_up("fchown");
        drop_privileges(spec);
    }
    umask(0022);
    prctl(PR_SET_PDEATHSIG, SIGKILL);  // after the change of user, which clears it
    if (getppid() == 0 || (getppid() != 1 && isolated)) _exit(126);
    if (start->cwd[0] != 0 && chdir(start->cwd) != 0) give_up("chdir");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) give_up("no_new_privs");
    if (isolated && seccomp_install() != 0) give_up("seccomp");
    execve(start->argv[0], start->argv, start->envp);
    give_up("execve");
}
