/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/job_hosts.c - who the hosts are, which one this is, and what each receives of a channel. */
#include "pipe/job_parts.h"

#include "pipe/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOST_BYTES_MAX = 253 }; /* of a DNS name */

static bool host_is_good(const char *name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_";
    size_t len = strlen(name);

    return len >= 1 && len <= HOST_BYTES_MAX && strspn(name, allowed) == len;
}

static size_t hosts_of_groups(const struct ps_job *job)
{
    size_t count = 0;

    for (size_t i = 0; i < job->group_count; i++)
        count += job->groups[i].host_count;
    return count;
}

/* Hosts that nobody named are algo-1 .. algo-n. */
static int name_hosts(struct ps_job *job, size_t count, struct penstock_error *error)
{
    int rc = PENSTOCK_OK;

    if (count > PS_JOB_HOSTS_MAX)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "the job has %zu hosts, at most %d may be",
                       count, PS_JOB_HOSTS_MAX);
    job->host_count = 0;
    for (size_t i = 1; i <= count && rc == PENSTOCK_OK; i++) {
        char name[32];
        int len = snprintf(name, sizeof name, "algo-%zu", i);

        rc = ps_job_append(&job->hosts_given, &job->host_count, name, (size_t)len, error);
    }
    return rc;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int sort_hosts(struct ps_job *job, struct penstock_error *error)
{
    if (job->host_count > PS_JOB_HOSTS_MAX)
        return ps_fail(error, PENSTOCK_E_ARGUMENT, "the job has %zu hosts, at most %d may be",
                       job->host_count, PS_JOB_HOSTS_MAX);
    free(job->hosts);
    job->hosts = calloc(job->host_count + 1, sizeof *job->hosts);
    if (!job->hosts)
        return ps_fail(error, PENSTOCK_E_MEMORY, "out of memory for %zu hosts", job->host_count);
    memcpy(job->hosts, job->hosts_given, job->host_count * sizeof *job->hosts);
    qsort(job->hosts, job->host_count, sizeof *job->hosts, compare);
    for (size_t i = 0; i < job->host_count; i++) {
        if (!host_is_good(job->hosts[i]))
            return ps_fail(error, PENSTOCK_E_ARGUMENT,
                           "hosts: '%.100s' is no host's name: letters, digits, '.', '-' and '_'",
                           job->hosts[i]);
        if (i > 0 && strcmp(job->hosts[i - 1], job->hosts[i]) == 0)
            return ps_fail(error, PENSTOCK_E_ARGUMENT, "hosts: %s is named twice", job->hosts[i]);
    }
    return PENSTOCK_OK;
}

/* The index of `name` in hosts_given, or host_count. */
static size_t find_host(const struct ps_job *job, const char *name)
{
    size_t i = 0;

    while (i < job->host_count && strcmp(job->hosts_given[i], name) != 0)
        i++;
    return i;
}

static int settle_current(struct ps_job *job, struct penstock_error *error)
{
    const char *environment = getenv("PENSTOCK_CURRENT_HOST");
    const char *from = job->current_host_set ? "--current-host" : "PENSTOCK_CURRENT_HOST";
    const char *name = job->current_host;

    if (!job->current_host_set && environment && *environment)
        name = environment;
    else if (!job->current_host_set)
        from = "current_host";
    if (!name)
        name = job->host_count == 1 ? job->hosts[0] : "algo-1";
    if (find_host(job, name) == job->host_count)
        return ps_fail(error, PENSTOCK_E_ARGUMENT,
                       "%s: %.100s is none of the job's %zu hosts, %.100s%s: say which one this is "
                       "by --current-host or PENSTOCK_CURRENT_HOST",
                       from, name, job->host_count, job->hosts[0],
                       job->host_count > 1 ? " and others" : "");
    return name == job->current_host ? PENSTOCK_OK : ps_job_copy(&job->current_host, name, error);
}

static void settle_groups(struct ps_job *job)
{
    size_t current = find_host(job, job->current_host);
    size_t first = 0;

    for (size_t i = 0; i < job->group_count; i++) {
        job->groups[i].host_first = first;
        first += job->groups[i].host_count;
        if (current >= job->groups[i].host_first && current < first)
            job->current_group_index = i;
    }
}

/* Whether a channel goes to the host with this index in hosts_given. */
static bool receives(const struct ps_job *job, const struct ps_job_channel *channel, size_t host_no)
{
    if (channel->group_count == 0)
        return true;
    for (size_t i = 0; i < job->group_count; i++) {
        const struct ps_job_group *group = &job->groups[i];

        if (host_no < group->host_first || host_no >= group->host_first + group->host_count)
            continue;
        for (size_t j = 0; j < channel->group_count; j++)
            if (strcmp(channel->group_names[j], group->name) == 0)
                return true;
    }
    return false;
}

/* The receiving hosts share the channel in the order of their names, which every host knows. */
static void settle_share(const struct ps_job *job, struct ps_job_channel *channel)
{
    uint32_t before = 0;
    uint32_t count = 0;

    for (size_t i = 0; i < job->host_count; i++) {
        if (!receives(job, channel, i))
            continue;
        count++;
        before += strcmp(job->hosts_given[i], job->current_host) < 0;
    }
    channel->here = receives(job, channel, find_host(job, job->current_host));
    channel->shard_index = channel->sharded && channel->here ? before : 0;
    channel->shard_count = channel->sharded && channel->here ? count : 1;
}

/* The interface of the default route; eth0, which containers have, if there is none. */
static int settle_network(struct ps_job *job, struct penstock_error *error)
{
    FILE *routes = job->network_interface ? NULL : fopen("/proc/net/route", "re");
    char *line = NULL;
    size_t size = 0;
    int rc = PENSTOCK_OK;

    while (routes && !job->network_interface && rc == PENSTOCK_OK &&
           getline(&line, &size, routes) > 0) {
        size_t len = strcspn(line, "\t");

        if (strncmp(line + len, "\t00000000\t", 10) == 0) {
            line[len] = '\0';
            rc = ps_job_copy(&job->network_interface, line, error);
        }
    }
    free(line);
    if (routes)
        fclose(routes);
    if (rc == PENSTOCK_OK && !job->network_interface)
        rc = ps_job_copy(&job->network_interface, "eth0", error);
    return rc;
}

int ps_job_settle_hosts(struct ps_job *job, struct penstock_error *error)
{
    size_t grouped = hosts_of_groups(job);
    int rc = PENSTOCK_OK;

    if (!job->hosts_given)
        rc = name_hosts(job,
                        grouped > 0           ? grouped
                        : job->host_count > 0 ? job->host_count
                                              : 1,
                        error);
    else if (grouped > 0 && job->host_count != grouped)
        rc = ps_fail(error, PENSTOCK_E_ARGUMENT,
                     "hosts: %zu are named, but the instance groups have %zu", job->host_count,
                     grouped);
    if (rc == PENSTOCK_OK)
        rc = sort_hosts(job, error);
    if (rc == PENSTOCK_OK)
        rc = settle_current(job, error);
    if (rc == PENSTOCK_OK)
        rc = settle_network(job, error);
    if (rc != PENSTOCK_OK)
        return rc;
    settle_groups(job);
    for (size_t i = 0; i < job->channel_count; i++)
        settle_share(job, &job->channels[i]);
    return PENSTOCK_OK;
}
