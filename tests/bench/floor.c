/* The floor: a container started by a C program that does what our engine's plan does and nothing else.
 *
 * No runtime to load, no image store, no state, no checks against hostile images, one process: the least a start can
 * cost on this kernel. Beside it the other numbers of `hako bench start` mean something on any machine.
 *
 * usage: floor lower=A:B dir=DIR netns=FILE filter=FILE file=F [v2=DIR] [v1=NAME:DIR]...
 *
 *   lower    layers for overlay, the top one first, as overlay wants them; /now is the program in them
 *   dir      where upper and work directories are made, on a file system that can hold them
 *   netns    a network namespace to join: ours come from a pool
 *   filter   a seccomp filter, as bytes: the one our engine installs
 *   file     a small file, bound three times: hosts, hostname, resolv.conf
 *   v2       our group in the cgroup v2 tree; v1: a controller's name and our group in its tree
 *
 * For each line on standard input one container is run, and one line comes back: nanoseconds of CLOCK_MONOTONIC at the
 * request, at the program's first act (its own words), and when it had been reaped. Removing what was made comes after.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TREES 32
#define STAGE "/tmp" /* as the engine does: every machine has it, and what is mounted there only we see */
#define NOSUID (MS_NOSUID | MS_NOEXEC | MS_NODEV)
/* Docker's fourteen, as engine/linux/capabilities.py has them. */
#define CAPABILITIES 0xa80425fbULL
#define try(call) do { if ((call) < 0) die(#call); } while (0)

static const char *lower, *dir, *netns, *file, *v2;
static struct { const char *name, *dir; } v1[TREES];
static int trees;
static struct sock_fprog filter;
static int runs;

static void die(const char *what) {
    fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static const char *path(const char *format, const char *a, const char *b) {
    static char buffers[4][4096];
    static int next;
    char *buffer = buffers[next++ % 4];
    snprintf(buffer, sizeof buffers[0], format, a, b);
    return buffer;
}

static const char *name(void) {
    static char text[32];
    snprintf(text, sizeof text, "run%d", runs);
    return text;
}

static void copy_up(const char *group, const char *file_name) {
    char text[256];
    int from = open(path("%s/../%s", group, file_name), O_RDONLY | O_CLOEXEC);
    ssize_t length = from < 0 ? -1 : read(from, text, sizeof text);
    int to = open(path("%s/%s", group, file_name), O_WRONLY | O_CLOEXEC);
    if (length > 0 && to >= 0 && write(to, text, length) < 0) die(file_name);
    close(from);
    close(to);
}

/* A group in every tree; cpuset gives a new one no processors and no memory to run on. */
static int make_groups(void) {
    if (v2) try(mkdir(path("%s/%s", v2, name()), 0755));
    for (int i = 0; i < trees; i++) {
        const char *group = path("%s/%s", v1[i].dir, name());
        try(mkdir(group, 0755));
        if (!strcmp(v1[i].name, "cpuset")) {
            copy_up(group, "cpuset.cpus");
            copy_up(group, "cpuset.mems");
        }
    }
    return v2 ? open(path("%s/%s", v2, name()), O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
}

static void remove_groups(void) {
    if (v2) try(rmdir(path("%s/%s", v2, name())));
    for (int i = 0; i < trees; i++) try(rmdir(path("%s/%s", v1[i].dir, name())));
}

static void enter_groups(void) {
    for (int i = 0; i < trees; i++) {
        int fd = open(path("%s/%s/tasks", v1[i].dir, name()), O_WRONLY | O_CLOEXEC);
        try(fd);
        try(write(fd, "0", 1));
        close(fd);
    }
}

static void mount_cgroups(void) {
    const char *where = STAGE "/sys/fs/cgroup";
    if (!trees) {
        try(mount("cgroup2", where, "cgroup2", NOSUID | MS_RDONLY, NULL));
        return;
    }
    try(mount("tmpfs", where, "tmpfs", NOSUID, "mode=755,size=64k"));
    for (int i = 0; i < trees; i++) {
        const char *place = path("%s/%s", where, v1[i].name);
        try(mkdir(place, 0755));
        try(mount("cgroup", place, "cgroup", NOSUID, v1[i].name));
    }
    if (v2) {
        try(mkdir(path("%s/%s", where, "unified"), 0755));
        try(mount("cgroup2", path("%s/%s", where, "unified"), "cgroup2", NOSUID, NULL));
    }
    try(mount(NULL, where, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | NOSUID, NULL));
}

static void mount_root(void) {
    char options[8192];
    snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s/%s/upper,workdir=%s/%s/work,index=off", lower, dir,
             name(), dir, name());
    try(mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL));
    try(mount("overlay", STAGE, "overlay", 0, options));
}

static void make_devices(void) {
    static const struct { const char *name; int major, minor; } nodes[] = {
        {"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
    };
    static const char *links[][2] = {
        {"ptmx", "pts/ptmx"}, {"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
        {"stderr", "/proc/self/fd/2"},
    };
    static const char *places[] = {"pts", "shm", "mqueue"};
    try(mount("tmpfs", STAGE "/dev", "tmpfs", MS_NOSUID, "mode=755,size=64m"));
    for (unsigned i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        const char *node = path("%s/%s", STAGE "/dev", nodes[i].name);
        try(mknod(node, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)));
        try(chmod(node, 0666));
    }
    for (unsigned i = 0; i < sizeof places / sizeof *places; i++) try(mkdir(path("%s/%s", STAGE "/dev", places[i]), 0755));
    for (unsigned i = 0; i < sizeof links / sizeof *links; i++)
        try(symlink(links[i][1], path("%s/%s", STAGE "/dev", links[i][0])));
    try(mount("devpts", STAGE "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
              "newinstance,ptmxmode=0666,mode=0620,gid=5"));
}

static void mount_rest(void) {
    static const char *files[] = {STAGE "/etc/hosts", STAGE "/etc/hostname", STAGE "/etc/resolv.conf"};
    try(mount("proc", STAGE "/proc", "proc", NOSUID, NULL));
    try(mount("sysfs", STAGE "/sys", "sysfs", NOSUID | MS_RDONLY, NULL));
    mount_cgroups();
    try(mount("tmpfs", STAGE "/dev/shm", "tmpfs", NOSUID, "mode=1777,size=64m"));
    try(mount("mqueue", STAGE "/dev/mqueue", "mqueue", NOSUID, NULL));
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
        int fd = open(files[i], O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        try(fd);
        close(fd);
        try(mount(file, files[i], NULL, MS_BIND, NULL));
    }
}

static void mask(void) {
    static const char *masked[] = {
        "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
        "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap",
        "/sys/firmware",
    };
    static const char *readonly[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
    struct stat seen;
    for (unsigned i = 0; i < sizeof masked / sizeof *masked; i++) {
        const char *place = path("%s%s", STAGE, masked[i]);
        if (lstat(place, &seen) < 0) continue;
        if (S_ISDIR(seen.st_mode))
            try(mount("tmpfs", place, "tmpfs", MS_RDONLY, "nr_blocks=1,nr_inodes=1"));
        else
            try(mount(STAGE "/dev/null", place, NULL, MS_BIND, NULL));
    }
    for (unsigned i = 0; i < sizeof readonly / sizeof *readonly; i++) {
        const char *place = path("%s%s", STAGE, readonly[i]);
        if (mount(place, place, NULL, MS_BIND | MS_REC, NULL) < 0) continue;
        try(mount(NULL, place, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | NOSUID, NULL));
    }
}

static void change_root(void) {
    try(chdir(STAGE));
    try(syscall(SYS_pivot_root, ".", "."));
    try(mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL));
    try(umount2(".", MNT_DETACH));
    try(chdir("/"));
}

static void drop(void) {
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {{(uint32_t)CAPABILITIES, (uint32_t)CAPABILITIES, 0}, {0, 0, 0}};
    try(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &filter));
    for (int number = 0; number <= 40; number++)
        if (!(CAPABILITIES >> number & 1)) try(prctl(PR_CAPBSET_DROP, number, 0, 0, 0));
    try(setgroups(0, NULL));
    try(setresgid(0, 0, 0));
    try(setresuid(0, 0, 0));
    try(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
    try(syscall(SYS_capset, &header, data));
}

static void child(int out) {
    static char *argv[] = {"/now", NULL};
    static char *env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", NULL};
    sigset_t none;
    sigemptyset(&none);
    try(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0));
    try(sigprocmask(SIG_SETMASK, &none, NULL));
    try(setsid());
    syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, name());
    enter_groups();
    int network = open(netns, O_RDONLY | O_CLOEXEC);
    try(network);
    try(setns(network, CLONE_NEWNET));
    try(unshare(CLONE_NEWCGROUP));
    mount_root();
    make_devices();
    mount_rest();
    mask();
    change_root();
    try(sethostname("floor", 5));
    drop();
    try(dup2(out, 1));
    try(syscall(SYS_close_range, 3, ~0U, 0));
    execve(argv[0], argv, env);
    die("execve");
}

static void run(void) {
    char text[64] = "";
    int pipes[2], pidfd = -1;
    size_t length = 0;
    long long asked = now();
    try(mkdir(path("%s/%s", dir, name()), 0755));
    try(mkdir(path("%s/%s/upper", dir, name()), 0755));
    try(mkdir(path("%s/%s/work", dir, name()), 0755));
    int group = make_groups();
    try(pipe2(pipes, O_CLOEXEC));
    struct clone_args args = {
        .flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_PIDFD | (v2 ? CLONE_INTO_CGROUP : 0),
        .pidfd = (uintptr_t)&pidfd,
        .exit_signal = SIGCHLD,
        .cgroup = v2 ? group : 0,
    };
    pid_t pid = syscall(SYS_clone3, &args, sizeof args);
    try(pid);
    if (pid == 0) child(pipes[1]);
    close(pipes[1]);
    for (ssize_t got; length < sizeof text - 1 && (got = read(pipes[0], text + length, sizeof text - 1 - length)) > 0;)
        length += got;
    siginfo_t info;
    try(waitid(P_PIDFD, pidfd, &info, WEXITED));
    long long reaped = now();
    close(pipes[0]);
    close(pidfd);
    if (group >= 0) close(group);
    if (info.si_code != CLD_EXITED || info.si_status != 0 || length == 0) die("the program did not run to its end");
    remove_groups();
    printf("%lld %lld %lld\n", asked, atoll(text), reaped);
    fflush(stdout);
    runs++;
}

static void load_filter(const char *from) {
    static struct sock_filter code[BPF_MAXINSNS];
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    ssize_t length = read(fd, code, sizeof code);
    if (length <= 0) die(from);
    filter.len = length / sizeof *code;
    filter.filter = code;
    close(fd);
}

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (!value) die(argv[i]);
        *value++ = 0;
        if (!strcmp(argv[i], "lower")) lower = value;
        else if (!strcmp(argv[i], "dir")) dir = value;
        else if (!strcmp(argv[i], "netns")) netns = value;
        else if (!strcmp(argv[i], "file")) file = value;
        else if (!strcmp(argv[i], "filter")) load_filter(value);
        else if (!strcmp(argv[i], "v2")) v2 = value;
        else if (!strcmp(argv[i], "v1") && trees < TREES) {
            char *colon = strrchr(value, ':');
            if (!colon) die(value);
            *colon = 0;
            v1[trees].name = value;
            v1[trees++].dir = colon + 1;
        }
    }
    if (!lower || !dir || !netns || !file || !filter.len) die("an argument is missing");
    puts("ready");
    fflush(stdout);
    for (int c; (c = getchar()) != EOF;)
        if (c == '\n') run();
    return 0;
}
