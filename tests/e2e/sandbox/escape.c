/* An algorithm of kind binary or oci that tries to leave its sandbox, and prints its findings as one line of JSON. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static const char *separator = "{";

static void say(const char *what, long failed) {
    printf("%s\"%s\": %d", separator, what, failed < 0 ? errno : 0);
    separator = ", ";
}

static long contact(const char *address) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(80)};
    inet_pton(AF_INET, address, &to.sin_addr);
    int sock = socket(AF_INET, SOCK_STREAM, 0);
    return connect(sock, (struct sockaddr *)&to, sizeof to);
}

static long writing(const char *path) {
    int file = open(path, O_WRONLY | O_CREAT, 0644);
    if (file >= 0)
        close(file);
    return file;
}

int main(int count, char **words) {
    say("network", contact("192.0.2.1"));
    say("metadata", contact("169.254.169.254"));
    say("packets", socket(AF_PACKET, SOCK_RAW, 0));
    say("mount", mount("none", "/tmp", "tmpfs", 0, ""));
    say("remount", mount("none", "/", "", MS_REMOUNT | MS_BIND, ""));
    say("namespace", unshare(CLONE_NEWUSER));
    say("chroot", chroot("/tmp"));
    say("trace", ptrace(PTRACE_TRACEME, 0, 0, 0));
    say("device", mknod("/tmp/disk", S_IFBLK | 0600, makedev(254, 0)));
    say("become root", setuid(0));
    say("give away", writing("/tmp/own") < 0 ? -1 : chown("/tmp/own", 0, 0));
    say("write /", writing("/x"));
    say("write /etc/passwd", writing("/etc/passwd"));
    say("write /work", writing("/work/x"));
    say("write the program", writing(words[0]));
    say("write /proc", writing("/proc/sys/kernel/core_pattern"));
    say("read the agent's files", open("/run/cloister/assets", O_RDONLY));
    say("read outside", open("../../../../run/cloister/runner.sock", O_RDONLY));
    say("read the TPM", open("/dev/tpmrm0", O_RDONLY));
    printf("}\n");
    (void)count;
    return writing("results/escape.json") < 0;
}
