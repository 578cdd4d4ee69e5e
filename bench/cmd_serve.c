/* SPDX-License-Identifier: Apache-2.0 */
/* bench/cmd_serve.c - the command `penstock serve`: options, start, wait for a signal, stop. */
#include "bench/cmd_serve.h"

#include "bench/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

enum {
    FAULT_COUNT_MAX = 32,
    THREAD_COUNT_MAX = 64,
    LATENCY_MS_MAX = 3600 * 1000,
    CLOCK_AHEAD_S_MAX = 86400
};

static const char default_access_key[] = "AKIDEXAMPLE";
static const char default_secret_key[] = "wJalrXUtnFEMIEXAMPLEKEY";

static const char usage[] = "usage: penstock serve [OPTION...] DIR\n";

static const char help[] =
    "Serves DIR as S3 on loopback, for tests and measurements. Each directory in DIR is a bucket,\n"
    "each file below it an object. Ends with SIGINT or SIGTERM.\n"
    "\n"
    "  --host ADDRESS        loopback address to listen on (default 127.0.0.1); may be given up "
    "to\n"
    "                        8 times, and with a limit for its connections: 127.0.0.3=10 (Mbit/s)\n"
    "  --dead-host ADDRESS   an address where nobody answers, nor refuses\n"
    "  --port N              port to listen on (default 9000; 0: any that is free)\n"
    "  --port-file FILE      write the port to FILE when ready\n"
    "  --threads N           serving threads (default 2)\n"
    "  --access-key KEY      key that requests are signed with (default $AWS_ACCESS_KEY_ID, else\n"
    "                        AKIDEXAMPLE)\n"
    "  --secret-key KEY      its secret (default $AWS_SECRET_ACCESS_KEY, else\n"
    "                        wJalrXUtnFEMIEXAMPLEKEY)\n"
    "  --session-token TEXT  demand this token in every request; *: any token\n"
    "  --session-s N         how long a session with a directory bucket (NAME--ZONE--x-s3)\n"
    "                        lasts (default 300)\n"
    "  --region NAME         region that requests are signed for (default us-east-1)\n"
    "  --anonymous           serve unsigned requests too\n"
    "  --tls-cert FILE       serve HTTPS with this certificate (PEM)\n"
    "  --tls-key FILE        and this private key\n"
    "  --latency-ms N        wait before every answer\n"
    "  --latency-p99-ms N    spread these waits: half are longer, one in a hundred than this\n"
    "  --rate-mbps N         limit each connection to N megabits a second\n"
    "  --rate-total-mbps N   limit all connections together\n"
    "  --slow-beyond N       with more than N answers at once, the limit for all shrinks\n"
    "  --checksum KIND       what checksum objects have: crc64nvme (default), crc32c, crc32, none\n"
    "  --log FILE            append a line for every request\n"
    "  --fault SPEC          fail on purpose; may be given again\n"
    "  --clock-ahead-s N     the server's clock is N seconds ahead; negative: behind\n"
    "  --seed N              what chance depends on (default 0)\n"
    "  --help                print this\n"
    "\n";

enum option_id {
    OPTION_HOST = 256,
    OPTION_PORT,
    OPTION_PORT_FILE,
    OPTION_THREADS,
    OPTION_ACCESS_KEY,
    OPTION_SECRET_KEY,
    OPTION_SESSION_TOKEN,
    OPTION_REGION,
    OPTION_ANONYMOUS,
    OPTION_TLS_CERT,
    OPTION_TLS_KEY,
    OPTION_LATENCY_MS,
    OPTION_LATENCY_P99_MS,
    OPTION_SEED,
    OPTION_CLOCK_AHEAD_S,
    OPTION_DEAD_HOST,
    OPTION_RATE_TOTAL_MBPS,
    OPTION_SLOW_BEYOND,
    OPTION_SESSION_S,
    OPTION_RATE_MBPS,
    OPTION_CHECKSUM,
    OPTION_LOG,
    OPTION_FAULT,
    OPTION_HELP,
};

static const struct option long_options[] = {
    {"host", required_argument, NULL, OPTION_HOST},
    {"port", required_argument, NULL, OPTION_PORT},
    {"port-file", required_argument, NULL, OPTION_PORT_FILE},
    {"threads", required_argument, NULL, OPTION_THREADS},
    {"access-key", required_argument, NULL, OPTION_ACCESS_KEY},
    {"secret-key", required_argument, NULL, OPTION_SECRET_KEY},
    {"session-token", required_argument, NULL, OPTION_SESSION_TOKEN},
    {"session-s", required_argument, NULL, OPTION_SESSION_S},
    {"region", required_argument, NULL, OPTION_REGION},
    {"anonymous", no_argument, NULL, OPTION_ANONYMOUS},
    {"tls-cert", required_argument, NULL, OPTION_TLS_CERT},
    {"tls-key", required_argument, NULL, OPTION_TLS_KEY},
    {"latency-ms", required_argument, NULL, OPTION_LATENCY_MS},
    {"latency-p99-ms", required_argument, NULL, OPTION_LATENCY_P99_MS},
    {"seed", required_argument, NULL, OPTION_SEED},
    {"clock-ahead-s", required_argument, NULL, OPTION_CLOCK_AHEAD_S},
    {"dead-host", required_argument, NULL, OPTION_DEAD_HOST},
    {"rate-total-mbps", required_argument, NULL, OPTION_RATE_TOTAL_MBPS},
    {"slow-beyond", required_argument, NULL, OPTION_SLOW_BEYOND},
    {"rate-mbps", required_argument, NULL, OPTION_RATE_MBPS},
    {"checksum", required_argument, NULL, OPTION_CHECKSUM},
    {"log", required_argument, NULL, OPTION_LOG},
    {"fault", required_argument, NULL, OPTION_FAULT},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

struct arguments {
    struct serve_config config;
    struct serve_fault faults[FAULT_COUNT_MAX];
    const char *port_file;
    const char *log_file;
};

static bool read_number(const char *text, const char *option, uint64_t least, uint64_t most,
                        uint64_t *number)
{
    char *end;

    errno = 0;
    *number = strtoull(text, &end, 10);
    if (!errno && *text >= '0' && *text <= '9' && *end == '\0' && *number >= least &&
        *number <= most)
        return true;
    fprintf(stderr, "penstock serve: %s takes a number from %llu to %llu, not '%s'\n", option,
            (unsigned long long)least, (unsigned long long)most, text);
    return false;
}

static bool add_fault(struct arguments *arguments, const char *spec)
{
    char error[200];

    if (arguments->config.fault_count == FAULT_COUNT_MAX) {
        fprintf(stderr, "penstock serve: --fault can be given %d times\n", FAULT_COUNT_MAX);
        return false;
    }
    if (!serve_fault_parse(spec, &arguments->faults[arguments->config.fault_count], error,
                           sizeof error)) {
        fprintf(stderr, "penstock serve: --fault %s: %s\n", spec, error);
        return false;
    }
    arguments->config.fault_count++;
    return true;
}

/* "127.0.0.1" or "127.0.0.1=MBPS", which is cut off in place: argv is ours. */
static bool add_host(struct serve_config *config, char *value, bool dead)
{
    struct serve_host *host = &config->hosts[config->host_count];
    char *equals = strchr(value, '=');
    uint64_t mbps = 0;

    if (config->host_count == SERVE_HOSTS_MAX) {
        fprintf(stderr, "penstock serve: --host and --dead-host can be given %d times\n",
                SERVE_HOSTS_MAX);
        return false;
    }
    if (equals)
        *equals++ = '\0';
    if (equals && !read_number(equals, "--host ADDRESS=", 1, 1000000, &mbps))
        return false;
    config->host_count++;
    *host = (struct serve_host){.name = value, .rate_bits_s = mbps * 1000000, .dead = dead};
    return true;
}

/* The limit for all connections is that of every host without one of its own. */
static void finish_hosts(struct serve_config *config)
{
    if (config->host_count == 0)
        config->hosts[config->host_count++] = (struct serve_host){.name = "127.0.0.1"};
    for (size_t i = 0; i < config->host_count; i++)
        if (config->hosts[i].rate_bits_s == 0)
            config->hosts[i].rate_bits_s = config->rate_bits_s;
}

static bool set_number(struct serve_config *config, enum option_id id, const char *value)
{
    uint64_t number = 0;
    bool ok = false;

    if (id == OPTION_PORT) {
        ok = read_number(value, "--port", 0, UINT16_MAX, &number);
        config->port = (uint16_t)number;
    } else if (id == OPTION_THREADS) {
        ok = read_number(value, "--threads", 1, THREAD_COUNT_MAX, &number);
        config->threads = (unsigned)number;
    } else if (id == OPTION_LATENCY_MS) {
        ok = read_number(value, "--latency-ms", 0, LATENCY_MS_MAX, &number);
        config->latency_ms = (uint32_t)number;
    } else if (id == OPTION_LATENCY_P99_MS) {
        ok = read_number(value, "--latency-p99-ms", 0, LATENCY_MS_MAX, &number);
        config->latency_p99_ms = (uint32_t)number;
    } else if (id == OPTION_RATE_TOTAL_MBPS) {
        ok = read_number(value, "--rate-total-mbps", 1, 1000000, &number);
        config->link_bits_s = number * 1000000;
    } else if (id == OPTION_SLOW_BEYOND) {
        ok = read_number(value, "--slow-beyond", 1, 100000, &number);
        config->slow_beyond = (uint32_t)number;
    } else if (id == OPTION_CLOCK_AHEAD_S) {
        bool behind = *value == '-';

        ok = read_number(value + behind, "--clock-ahead-s", 0, CLOCK_AHEAD_S_MAX, &number);
        config->clock_ahead_s = behind ? -(int)number : (int)number;
    } else if (id == OPTION_SESSION_S) {
        ok = read_number(value, "--session-s", 1, 3600, &number);
        config->session_s = (uint32_t)number;
    } else if (id == OPTION_SEED) {
        ok = read_number(value, "--seed", 0, UINT64_MAX, &config->seed);
    } else {
        ok = read_number(value, "--rate-mbps", 1, 1000000, &number);
        config->rate_bits_s = number * 1000000;
    }
    return ok;
}

static bool set_checksum(struct serve_config *config, const char *value)
{
    config->checksums = false;
    for (int kind = 0; kind < FMT_CRC_KINDS; kind++)
        if (strcasecmp(value, fmt_crc_name((enum fmt_crc_kind)kind)) == 0) {
            config->checksums = true;
            config->checksum_kind = (enum fmt_crc_kind)kind;
        }
    if (config->checksums || strcmp(value, "none") == 0)
        return true;
    fprintf(stderr, "penstock serve: --checksum takes crc64nvme, crc32c, crc32 or none, not '%s'\n",
            value);
    return false;
}

static bool set_option(struct arguments *arguments, enum option_id id, char *value)
{
    struct serve_config *config = &arguments->config;

    switch (id) {
    case OPTION_HOST:
        return add_host(config, value, false);
    case OPTION_DEAD_HOST:
        return add_host(config, value, true);
    case OPTION_PORT_FILE:
        arguments->port_file = value;
        return true;
    case OPTION_ACCESS_KEY:
        config->policy.access_key = value;
        return true;
    case OPTION_SECRET_KEY:
        config->policy.secret_key = value;
        return true;
    case OPTION_SESSION_TOKEN:
        config->policy.session_token = value;
        return true;
    case OPTION_REGION:
        config->policy.region = value;
        return true;
    case OPTION_ANONYMOUS:
        config->policy.anonymous = true;
        return true;
    case OPTION_TLS_CERT:
        config->tls_cert = value;
        return true;
    case OPTION_TLS_KEY:
        config->tls_key = value;
        return true;
    case OPTION_CHECKSUM:
        return set_checksum(config, value);
    case OPTION_LOG:
        arguments->log_file = value;
        return true;
    case OPTION_FAULT:
        return add_fault(arguments, value);
    case OPTION_PORT:
    case OPTION_THREADS:
    case OPTION_LATENCY_MS:
    case OPTION_LATENCY_P99_MS:
    case OPTION_SEED:
    case OPTION_CLOCK_AHEAD_S:
    case OPTION_SLOW_BEYOND:
    case OPTION_SESSION_S:
    case OPTION_RATE_TOTAL_MBPS:
    case OPTION_RATE_MBPS:
        return set_number(config, id, value);
    case OPTION_HELP:
        break;
    }
    return false;
}

static const char *from_environment(const char *name, const char *otherwise)
{
    const char *value = getenv(name);

    return value && *value ? value : otherwise;
}

/* Returns EXIT_OK when the server is to be started; -1 when help has been printed. */
static int read_arguments(int argc, char **argv, struct arguments *arguments)
{
    struct serve_config *config = &arguments->config;
    int id;

    config->port = 9000;
    config->threads = 2;
    config->session_s = 300;
    config->log_fd = -1;
    config->checksums = true;
    config->checksum_kind = FMT_CRC64NVME;
    config->faults = arguments->faults;
    config->policy.access_key = from_environment("AWS_ACCESS_KEY_ID", default_access_key);
    config->policy.secret_key = from_environment("AWS_SECRET_ACCESS_KEY", default_secret_key);
    config->policy.region = "us-east-1";
    config->policy.service = "s3";
    optind = 0;
    while ((id = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (id == OPTION_HELP) {
            printf("%s%s%s", usage, help, serve_fault_help);
            return -1;
        }
        if (id == '?' || !set_option(arguments, (enum option_id)id, optarg))
            return EXIT_USAGE;
    }
    finish_hosts(config);
    serve_fault_seed(arguments->faults, config->fault_count, config->seed);
    if (argc - optind != 1) {
        fprintf(stderr, "%sSay which directory to serve; 'penstock serve --help' tells more.\n",
                usage);
        return EXIT_USAGE;
    }
    if (!config->tls_cert != !config->tls_key) {
        fprintf(stderr, "penstock serve: --tls-cert and --tls-key go together\n");
        return EXIT_USAGE;
    }
    config->root = argv[optind];
    return EXIT_OK;
}

/* Written beside and renamed, so that whoever sees the file sees all of it. */
static bool write_port_file(const char *path, unsigned port)
{
    size_t path_bytes = strlen(path) + sizeof ".new";
    char *new_path = malloc(path_bytes);
    FILE *file;
    bool ok;

    if (!new_path)
        return false;
    snprintf(new_path, path_bytes, "%s.new", path);
    file = fopen(new_path, "we");
    ok = file && fprintf(file, "%u\n", port) > 0;
    if (file && fclose(file) != 0)
        ok = false;
    ok = ok && rename(new_path, path) == 0;
    free(new_path);
    return ok;
}

/* Every connection is a descriptor, every object being sent another. */
static void allow_many_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Where the signal handler reports; written by it, read by the main thread. */
static int stop_fd = -1;

static void on_stop_signal(int signal_no)
{
    int saved = errno;
    uint64_t one = 1;

    (void)signal_no;
    if (write(stop_fd, &one, sizeof one) < 0) {
        /* The counter is full: the server is being stopped already. */
    }
    errno = saved;
}

/* A handler, not sigwait: libraries such as OpenBLAS make threads when they are loaded, which do
 * not block the signals and would take one that comes early, with the default effect. */
static bool catch_stop_signals(void)
{
    struct sigaction action = {.sa_handler = on_stop_signal, .sa_flags = SA_RESTART};

    sigemptyset(&action.sa_mask);
    stop_fd = eventfd(0, EFD_CLOEXEC);
    return stop_fd >= 0 && sigaction(SIGINT, &action, NULL) == 0 &&
           sigaction(SIGTERM, &action, NULL) == 0 &&
           signal(SIGPIPE, SIG_IGN) != SIG_ERR; /* sendfile has no MSG_NOSIGNAL */
}

static void wait_for_stop_signal(void)
{
    struct pollfd stop = {.fd = stop_fd, .events = POLLIN};

    while (poll(&stop, 1, -1) < 1)
        ; /* a signal interrupts it, and has counted by then */
}

static int serve_until_stopped(const struct arguments *arguments)
{
    const struct serve_config *config = &arguments->config;
    char error[512];
    struct serve *serve = serve_start(config, error, sizeof error);
    unsigned bucket_count;

    if (!serve) {
        fprintf(stderr, "penstock serve: %s\n", error);
        return EXIT_FAILED;
    }
    if (arguments->port_file && !write_port_file(arguments->port_file, serve_port(serve))) {
        fprintf(stderr, "penstock serve: cannot write port file %s: %s\n", arguments->port_file,
                strerror(errno));
        serve_stop(serve);
        return EXIT_FAILED;
    }
    bucket_count = serve_bucket_count(serve);
    printf("penstock serve: %s (%u bucket%s, %s)\n", serve_url(serve), bucket_count,
           bucket_count == 1 ? "" : "s",
           config->policy.anonymous ? "unsigned requests too" : "signed requests only");
    fflush(stdout);
    wait_for_stop_signal();
    serve_stop(serve);
    return EXIT_OK;
}

int penstock_cmd_serve(int argc, char **argv)
{
    struct arguments *arguments = calloc(1, sizeof *arguments);
    int rc;

    if (!arguments) {
        fprintf(stderr, "penstock serve: out of memory\n");
        return EXIT_FAILED;
    }
    rc = read_arguments(argc, argv, arguments);
    if (rc != EXIT_OK)
        goto out;
    if (arguments->log_file) {
        arguments->config.log_fd =
            open(arguments->log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (arguments->config.log_fd < 0) {
            fprintf(stderr, "penstock serve: cannot open log %s: %s\n", arguments->log_file,
                    strerror(errno));
            rc = EXIT_FAILED;
            goto out;
        }
    }
    allow_many_descriptors();
    if (catch_stop_signals()) {
        rc = serve_until_stopped(arguments);
    } else {
        fprintf(stderr, "penstock serve: cannot catch signals: %s\n", strerror(errno));
        rc = EXIT_FAILED;
    }
    if (arguments->config.log_fd >= 0)
        close(arguments->config.log_fd);
out:
    free(arguments);
    return rc < 0 ? EXIT_OK : rc;
}
