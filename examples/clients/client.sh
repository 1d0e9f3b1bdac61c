#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A token from the Makini Agent with curl (7.40 or later).
#
#   client.sh get NAME     prints the token
#   client.sh wait NAME    a line for each new token, by long poll, until it is dead
#   client.sh watch NAME   a line for each event and each new token, by the stream, until it is dead
#
# Exit codes: 1 failed, 2 usage, 3 denied, 4 not found, 5 revoked, expired or disabled, 6 unavailable.
set -u

[ $# = 2 ] && [ -n "${MAKINI_AGENT_SOCKET:-}" ] || { sed -n '3,9s/^# \{0,1\}//p' "$0"; echo "MAKINI_AGENT_SOCKET names the agent's socket"; exit 2; } >&2
name=$2
dir=$(mktemp -d) || exit 1 # for heads and, with `watch`, a pipe; no token is written here
stream=
trap '[ -z "$stream" ] || kill "$stream" 2>/dev/null; rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM

ask() { # PATH [CURL-OPTION…]: the body; the head is in $dir/head, the status in $status
	path=$1
	shift
	# Once more where the agent is just being restarted.
	body=$(fetch "$@") || body=$(fetch "$@") || {
		echo "client: the agent cannot be reached at $MAKINI_AGENT_SOCKET" >&2
		exit 6
	}
	status=$(status_of "$dir/head")
}
fetch() { curl -s -D "$dir/head" -H 'Accept: text/plain' --unix-socket "$MAKINI_AGENT_SOCKET" "$@" "http://agent/v1/tokens/$path"; }
status_of() { sed -n '1s/^[^ ]* \([0-9]*\).*/\1/p' "$1"; }
check() { # leaves where there is no token
	case $status in
	200 | 304) return ;;
	403) code=3 ;; 404) code=4 ;; 410) code=5 ;; 429 | 5*) code=6 ;; *) code=1 ;;
	esac
	echo "client: $status $(printf %s "$body" | sed -n 's/.*"code":"\([a-z_]*\)".*/\1/p')" >&2
	exit $code
}
etag() { sed -n 's/^ETag: *\("[^"]*"\).*/\1/p' "$dir/head"; }
got() { [ "$status" = 304 ] || echo "token of ${#body} bytes"; }

case $1 in
get)
	ask "$name"
	check
	printf %s "$body"
	;;
wait)
	ask "$name"
	while check; do
		got
		have=$(etag)
		ask "$name?wait=30s" -H "If-None-Match: $have" -m 60
	done
	;;
watch)
	# First the stream, then the token: then no change falls between.
	mkfifo "$dir/events"
	: >"$dir/stream"
	curl -sNf -D "$dir/stream" --unix-socket "$MAKINI_AGENT_SOCKET" "http://agent/v1/watch?connection=$name" >"$dir/events" &
	stream=$!
	while read -r key value; do
		case $key in
		:) [ "$value" = hello ] || continue ;;
		event:) echo "event $value" ;;
		*) continue ;;
		esac
		[ "$value" != expiring ] || continue
		ask "$name"
		check
		got
	done <"$dir/events"
	# The stream ended: it was refused, or the agent is being restarted. What was missed meanwhile the next start finds.
	status=$(status_of "$dir/stream") body=
	case $status in 4*) check ;; esac
	sleep 1
	rm -rf "$dir"
	exec sh "$0" watch "$name"
	;;
*) exit 2 ;;
esac
