/* SPDX-License-Identifier: Apache-2.0 */
/* pipe/session.c - see session.h. */
#include "pipe/session.h"

#include "pipe/error.h"
#include "pipe/s3_list.h"
#include "pipe/thread.h"

#include <stdlib.h>
#include <string.h>

struct ps_session {
    struct ps_session *next;
    struct ps_sessions *all;
    struct ps_s3_site *site; /* asks for keys */
    pthread_mutex_t lock;    /* held while the first keys are asked for; guards keyring */
    struct ps_credentials credentials;
    struct ps_keyring *keyring; /* NULL: not begun; then it stays, and readers need no lock */
};

/* Sites are made by channels, which have a lister each. */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;

static struct ps_session *find(struct ps_sessions *all, struct ps_s3_site *site)
{
    struct ps_session *session = all->first;

    while (session && strcmp(session->site->bucket, site->bucket) != 0)
        session = session->next;
    if (session || !(session = calloc(1, sizeof *session)))
        return session;
    session->all = all;
    session->site = site;
    session->next = all->first;
    pthread_mutex_init(&session->lock, NULL);
    all->first = session;
    return session;
}

int ps_session_attach(struct ps_sessions *all, struct ps_s3_site *site,
                      struct penstock_error *error)
{
    const struct ps_s3_account *account = site->account;

    if (!site->directory || account->no_sessions || account->identity.anonymous)
        return PENSTOCK_OK;
    pthread_mutex_lock(&list_lock);
    site->session = find(all, site);
    pthread_mutex_unlock(&list_lock);
    return site->session ? PENSTOCK_OK : ps_fail(error, PENSTOCK_E_MEMORY, "out of memory");
}

static int ask(void *cookie, struct ps_credentials *out, struct penstock_error *error)
{
    struct ps_session *session = cookie;

    return ps_s3_create_session(session->site, session->all->stop, out, error);
}

static void log_line(void *cookie, int level, const char *line)
{
    const struct ps_sessions *all = ((struct ps_session *)cookie)->all;

    if (all->log)
        all->log(all->cookie, level, line);
}

int ps_session_begin(struct ps_s3_site *site, const atomic_bool *stop, struct penstock_error *error)
{
    struct ps_session *session = site->session;
    int rc = site->account ? ps_keyring_wait(site->account->keyring, stop, error) : PENSTOCK_OK;

    if (!session || rc != PENSTOCK_OK)
        return rc;
    pthread_mutex_lock(&session->lock);
    if (!session->keyring)
        rc = ask(session, &session->credentials, error);
    if (!session->keyring && rc == PENSTOCK_OK)
        rc = ps_keyring_open(&session->credentials, false, ask, log_line, session,
                             &session->keyring, error);
    pthread_mutex_unlock(&session->lock);
    return rc;
}

const struct ps_credentials *ps_session_credentials(const struct ps_s3_site *site,
                                                    const struct ps_session *session)
{
    return session ? &session->credentials : &site->account->credentials;
}

struct ps_keyring *ps_session_keyring(const struct ps_s3_site *site, bool create_session)
{
    return site->session && !create_session ? site->session->keyring : site->account->keyring;
}

void ps_sessions_close(struct ps_sessions *all)
{
    while (all->first) {
        struct ps_session *session = all->first;

        all->first = session->next;
        ps_keyring_close(session->keyring);
        ps_credentials_wipe(&session->credentials);
        pthread_mutex_destroy(&session->lock);
        free(session);
    }
}
