// The system calls that a function's process may make: an allowlist, for x86_64 and aarch64.
//
// What is not on it answers EPERM, as Docker's profile does; numbers newer than this file answer ENOSYS, so that libraries
// take their older path. Nothing is killed: a library that probes a call must live. The list is what CPython, Node (V8),
// Go, the JVM, .NET and Rust use; left out on purpose: ptrace and process_vm_*, the mount family, unshare and setns,
// keyrings, bpf, perf_event_open, userfaultfd, kexec, modules, open_by_handle_at, io_uring, pidfd_getfd, clocks, swap,
// quota, accounting, reboot, fanotify, kcmp, memfd_secret, chroot, pivot_root, host names.
//
// The filter decides on architecture and number alone wherever it can: the kernel then caches "always allowed" per number
// (since 5.11) and a call costs nothing. It is a binary search over ranges of numbers.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cell.h"

#if defined(__x86_64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "martlet-cell knows x86_64 and aarch64"
#endif

enum { KNOWN_CALLS = 467, MAX_INSTRUCTIONS = 768 };

// What happens to a call; the last four look at its arguments.
enum action { DENY, UNKNOWN, ALLOW, CLONE, SOCKET, IOCTL, PERSONALITY };

#define PASS(name) {__NR_##name, ALLOW}

static const struct {
    uint16_t number;
    uint8_t action;
} table[] = {
    PASS(read), PASS(write), PASS(close), PASS(fstat), PASS(lseek), PASS(mmap), PASS(mprotect), PASS(munmap),
    PASS(brk), PASS(rt_sigaction), PASS(rt_sigprocmask), PASS(rt_sigreturn), {__NR_ioctl, IOCTL}, PASS(pread64),
    PASS(pwrite64), PASS(readv), PASS(writev), PASS(sched_yield), PASS(mremap), PASS(msync), PASS(mincore),
    PASS(madvise), PASS(shmget), PASS(shmat), PASS(shmctl), PASS(shmdt), PASS(dup), PASS(dup3), PASS(nanosleep),
    PASS(getitimer), PASS(setitimer), PASS(getpid), PASS(sendfile), {__NR_socket, SOCKET}, {__NR_socketpair, SOCKET},
    PASS(connect), PASS(accept), PASS(accept4), PASS(sendto), PASS(recvfrom), PASS(sendmsg), PASS(recvmsg),
    PASS(sendmmsg), PASS(recvmmsg), PASS(shutdown), PASS(bind), PASS(listen), PASS(getsockname), PASS(getpeername),
    PASS(setsockopt), PASS(getsockopt), {__NR_clone, CLONE}, PASS(execve), PASS(execveat), PASS(exit),
    PASS(exit_group), PASS(wait4), PASS(waitid), PASS(kill), PASS(tkill), PASS(tgkill), PASS(uname), PASS(semget),
    PASS(semop), PASS(semctl), PASS(semtimedop), PASS(msgget), PASS(msgsnd), PASS(msgrcv), PASS(msgctl), PASS(fcntl),
    PASS(flock), PASS(fsync), PASS(fdatasync), PASS(truncate), PASS(ftruncate), PASS(getcwd), PASS(chdir),
    PASS(fchdir), PASS(fchmod), PASS(fchmodat), PASS(fchown), PASS(fchownat), PASS(umask), PASS(gettimeofday),
    PASS(getrlimit), PASS(getrusage), PASS(sysinfo), PASS(times), PASS(getuid), PASS(getgid), PASS(setuid),
    PASS(setgid), PASS(geteuid), PASS(getegid), PASS(setpgid), PASS(getppid), PASS(setsid), PASS(setreuid),
    PASS(setregid), PASS(getgroups), PASS(setgroups), PASS(setresuid), PASS(getresuid), PASS(setresgid),
    PASS(getresgid), PASS(getpgid), PASS(setfsuid), PASS(setfsgid), PASS(getsid), PASS(capget), PASS(capset),
    PASS(rt_sigpending), PASS(rt_sigtimedwait), PASS(rt_sigqueueinfo), PASS(rt_tgsigqueueinfo), PASS(rt_sigsuspend),
    PASS(sigaltstack), {__NR_personality, PERSONALITY}, PASS(statfs), PASS(fstatfs), PASS(getpriority),
    PASS(setpriority), PASS(sched_setparam), PASS(sched_getparam), PASS(sched_setscheduler), PASS(sched_getscheduler),
    PASS(sched_get_priority_max), PASS(sched_get_priority_min), PASS(sched_rr_get_interval), PASS(sched_setattr),
    PASS(sched_getattr), PASS(sched_setaffinity), PASS(sched_getaffinity), PASS(mlock), PASS(munlock), PASS(mlockall),
    PASS(munlockall), PASS(mlock2), PASS(prctl), PASS(setrlimit), PASS(prlimit64), PASS(sync), PASS(syncfs),
    PASS(gettid), PASS(readahead), PASS(setxattr), PASS(lsetxattr), PASS(fsetxattr), PASS(getxattr), PASS(lgetxattr),
    PASS(fgetxattr), PASS(listxattr), PASS(llistxattr), PASS(flistxattr), PASS(removexattr), PASS(lremovexattr),
    PASS(fremovexattr), PASS(futex), PASS(get_mempolicy), PASS(io_setup), PASS(io_destroy), PASS(io_getevents),
    PASS(io_submit), PASS(io_cancel), PASS(io_pgetevents), PASS(epoll_create1), PASS(epoll_ctl), PASS(epoll_pwait),
    PASS(epoll_pwait2), PASS(remap_file_pages), PASS(getdents64), PASS(set_tid_address), PASS(restart_syscall),
    PASS(fadvise64), PASS(timer_create), PASS(timer_settime), PASS(timer_gettime), PASS(timer_getoverrun),
    PASS(timer_delete), PASS(clock_gettime), PASS(clock_getres), PASS(clock_nanosleep), PASS(mq_open),
    PASS(mq_unlink), PASS(mq_timedsend), PASS(mq_timedreceive), PASS(mq_notify), PASS(mq_getsetattr),
    PASS(ioprio_set), PASS(ioprio_get), PASS(inotify_init1), PASS(inotify_add_watch), PASS(inotify_rm_watch),
    PASS(openat), PASS(openat2), PASS(mkdirat), PASS(mknodat), PASS(newfstatat), PASS(unlinkat), PASS(renameat),
    PASS(renameat2), PASS(linkat), PASS(symlinkat), PASS(readlinkat), PASS(faccessat), PASS(faccessat2),
    PASS(pselect6), PASS(ppoll), PASS(set_robust_list), PASS(get_robust_list), PASS(splice), PASS(tee),
    PASS(vmsplice), PASS(sync_file_range), PASS(utimensat), PASS(signalfd4), PASS(timerfd_create),
    PASS(timerfd_settime), PASS(timerfd_gettime), PASS(eventfd2), PASS(fallocate), PASS(pipe2), PASS(preadv),
    PASS(pwritev), PASS(preadv2), PASS(pwritev2), PASS(seccomp), PASS(getrandom), PASS(memfd_create),
    PASS(membarrier), PASS(copy_file_range), PASS(pkey_mprotect), PASS(pkey_alloc), PASS(pkey_free), PASS(statx),
    PASS(rseq), PASS(pidfd_open), PASS(pidfd_send_signal), PASS(close_range), PASS(landlock_create_ruleset),
    PASS(landlock_add_rule), PASS(landlock_restrict_self), PASS(name_to_handle_at), PASS(getcpu),
    PASS(process_madvise), PASS(process_mrelease), PASS(futex_waitv),
#ifdef __x86_64__
    PASS(open), PASS(stat), PASS(lstat), PASS(poll), PASS(access), PASS(pipe), PASS(select), PASS(dup2), PASS(pause),
    PASS(alarm), PASS(fork), PASS(vfork), PASS(getdents), PASS(rename), PASS(mkdir), PASS(rmdir), PASS(creat),
    PASS(link), PASS(unlink), PASS(symlink), PASS(readlink), PASS(chmod), PASS(chown), PASS(lchown), PASS(getpgrp),
    PASS(utime), PASS(mknod), PASS(arch_prctl), PASS(time), PASS(epoll_create), PASS(epoll_wait), PASS(inotify_init),
    PASS(signalfd), PASS(eventfd), PASS(utimes), PASS(futimesat),
#endif
    // Asked for with flags in memory that a filter cannot read: C libraries fall back to clone.
    {435, UNKNOWN},  // clone3
    // Newer than many kernel headers; one number on every architecture.
    {451, ALLOW},  // cachestat
    {452, ALLOW},  // fchmodat2
    {453, ALLOW},  // map_shadow_stack
    {454, ALLOW},  // futex_wake
    {455, ALLOW},  // futex_wait
    {456, ALLOW},  // futex_requeue
    {462, ALLOW},  // mseal
    {463, ALLOW},  // setxattrat
    {464, ALLOW},  // getxattrat
    {465, ALLOW},  // listxattrat
    {466, ALLOW},  // removexattrat
};

static struct sock_filter program[MAX_INSTRUCTIONS];
static uint16_t program_length;

static void emit(struct sock_filter instruction) {
    if (program_length == MAX_INSTRUCTIONS) fail("seccomp", E2BIG, "the filter is too long");
    program[program_length++] = instruction;
}

static void emit_load(size_t offset) { emit((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset)); }

static void emit_return(uint32_t value) { emit((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, value)); }

static void emit_errno(int error) { emit_return(SECCOMP_RET_ERRNO | (uint32_t)error); }

// Returns `value` when the accumulator equals `operand`, else goes on.
static void emit_return_if_equal(uint32_t operand, uint32_t value) {
    emit((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, operand, 0, 1));
    emit_return(value);
}

// The low half of an argument: the kernel itself reads these as 32-bit numbers (both architectures are little-endian).
static void emit_load_argument(int index) {
    emit_load(offsetof(struct seccomp_data, args) + (size_t)index * sizeof(uint64_t));
}

static void emit_action(enum action action) {
    switch (action) {
    case DENY: emit_errno(EPERM); break;
    case UNKNOWN: emit_errno(ENOSYS); break;
    case ALLOW: emit_return(SECCOMP_RET_ALLOW); break;
    case CLONE:
        emit_load_argument(0);
        emit((struct sock_filter)BPF_JUMP(
            BPF_JMP | BPF_JSET | BPF_K,
            CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET
                | 0x80 /* CLONE_NEWTIME */,
            0, 1));
        emit_errno(EPERM);
        emit_return(SECCOMP_RET_ALLOW);
        break;
    case SOCKET:
        emit_load_argument(0);
        emit_return_if_equal(AF_UNIX, SECCOMP_RET_ALLOW);
        emit_return_if_equal(AF_INET, SECCOMP_RET_ALLOW);
        emit_return_if_equal(AF_INET6, SECCOMP_RET_ALLOW);
        // getaddrinfo and getifaddrs ask NETLINK_ROUTE (0) for addresses.
        emit((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 0, 3));
        emit_load_argument(2);
        emit_return_if_equal(0, SECCOMP_RET_ALLOW);
        emit_errno(EAFNOSUPPORT);
        break;
    case IOCTL:
        emit_load_argument(1);
        emit_return_if_equal(0x5412 /* TIOCSTI */, SECCOMP_RET_ERRNO | EPERM);
        emit_return_if_equal(0x541C /* TIOCLINUX */, SECCOMP_RET_ERRNO | EPERM);
        emit_return(SECCOMP_RET_ALLOW);
        break;
    case PERSONALITY:
        emit_load_argument(0);
        emit_return_if_equal(0, SECCOMP_RET_ALLOW);  // PER_LINUX
        emit_return_if_equal(0xffffffff, SECCOMP_RET_ALLOW);  // only asks
        emit_errno(EPERM);
        break;
    }
}

struct range {
    uint32_t first;
    enum action action;
};

// The accumulator holds the number on entry to every node.
static void emit_search(const struct range *ranges, int count) {
    if (count == 1) return emit_action(ranges[0].action);
    int half = count / 2;
    uint16_t at = program_length;
    emit((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, ranges[half].first, 1, 0));
    emit((struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 0));
    emit_search(ranges + half, count - half);
    program[at + 1].k = (uint32_t)(program_length - at - 2);  // JA reaches further than the 8 bits of a condition
    emit_search(ranges, half);
}

void seccomp_build(void) {
    static uint8_t actions[KNOWN_CALLS];  // DENY
    static struct range ranges[KNOWN_CALLS + 1];
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].number < KNOWN_CALLS) actions[table[i].number] = table[i].action;
    int count = 0;
    for (uint32_t number = 0; number < KNOWN_CALLS; number++)
        if (count == 0 || ranges[count - 1].action != actions[number])
            ranges[count++] = (struct range){number, actions[number]};
    ranges[count++] = (struct range){KNOWN_CALLS, UNKNOWN};  // and x32, whose numbers begin at 2^30

    program_length = 0;
    emit_load(offsetof(struct seccomp_data, arch));
    emit((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCHITECTURE, 1, 0));
    emit_errno(EPERM);
    emit_load(offsetof(struct seccomp_data, nr));
    emit_search(ranges, count);
}

int seccomp_install(void) {
    struct sock_fprog filter = {.len = program_length, .filter = program};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0);
}
