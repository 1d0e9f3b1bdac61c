/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of waiters, linked through the waiters themselves: one is in one list at most, and
 * leaves it without knowing whose it is. Nothing is allocated, nobody is woken from here.
 */
#ifndef MK_BROKER_WAITERS_H
#define MK_BROKER_WAITERS_H

#include "agent/broker/gate.h"

/* w is in no list. *head: the first of one, NULL where it is empty; stays where it is while anybody is in it. */
static inline void mk_waiters_add(struct mk_waiter **head, struct mk_waiter *w)
{
	mk_assert(!w->waiting);
	w->waiting = true;
	w->head = head;
	w->prev = NULL;
	w->next = *head;
	if (*head)
		(*head)->prev = w;
	*head = w;
}

/* w is in a list. */
static inline void mk_waiters_drop(struct mk_waiter *w)
{
	mk_assert(w->waiting);
	*(w->prev ? &w->prev->next : w->head) = w->next;
	if (w->next)
		w->next->prev = w->prev;
	w->prev = w->next = NULL;
	w->head = NULL;
	w->waiting = false;
}

#endif
