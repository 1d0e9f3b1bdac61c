/* SPDX-License-Identifier: Apache-2.0
 *
 * Does what a store holds belong to this instance's environment? A tag `environment` that
 * names another one always says no; where the backend has require_tag, so does a missing one.
 */
#ifndef MK_ENVIRONMENT_H
#define MK_ENVIRONMENT_H

#include "agent/broker/core.h"

bool mk_environment_fits(const struct mk_broker *b, uint8_t backend, const struct mk_tag *tags, size_t n);
/* A fetch brought it, and it is held: an alarm and an audit record where it does not fit, or where its value is held under
 * another name, too; an alarm of each such name. None is handed out. */
void mk_environment_look(struct mk_broker *b, const struct mk_fetched *f);
/* What is held has changed: ends the alarms, of whichever name, whose condition is over. */
void mk_environment_settle(struct mk_broker *b);

#endif
