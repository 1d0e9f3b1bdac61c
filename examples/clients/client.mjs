#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
//
// A token from the Makini Agent in Node.js (18 or later), without a package.
//
//   client.mjs get NAME     prints the token
//   client.mjs wait NAME    a line for each new token, by long poll, until it is dead
//   client.mjs watch NAME   a line for each event and each new token, by the stream, until it is dead
//
// Exit codes: 1 failed, 2 usage, 3 denied, 4 not found, 5 revoked, expired or disabled, 6 unavailable.
import http from "node:http";
import readline from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";

const EXIT_CODES = { 403: 3, 404: 4, 410: 5, 429: 6, 502: 6, 503: 6, 504: 6 };
const STREAM_SILENCE = 45_000; // ms: the agent says something every 15 s
const socketPath = process.env.MAKINI_AGENT_SOCKET;
const keep = new http.Agent({ keepAlive: true }); // a new connection costs several times what a request costs

class Refused extends Error {
	constructor(status, code) {
		super(`${status} ${code}`);
		this.exitCode = EXIT_CODES[status] ?? 1;
	}
}

async function text(answer) {
	let all = "";
	for await (const part of answer.setEncoding("utf8")) all += part;
	return all;
}

async function ask(path, headers, options) {
	const answer = await new Promise((resolve, reject) => {
		const request = http.get({ socketPath, path, headers, ...options }, resolve);
		request.on("error", reject);
		request.on("timeout", () => request.destroy(new Error("silent for too long")));
	});
	if (answer.statusCode === 200 || answer.statusCode === 304) return answer;
	throw new Refused(answer.statusCode, JSON.parse(await text(answer)).code);
}

/** One connection's token, as it is now. */
class Token {
	constructor(name) {
		this.name = name;
	}

	/** Asks; with wait = "30s" not before it changes. True where it is another than before. */
	async get(wait) {
		const headers = this.etag ? { "If-None-Match": this.etag } : {};
		const query = wait && this.etag ? `?wait=${wait}` : "";
		const once = () => ask(`/v1/tokens/${this.name}${query}`, headers, { agent: keep, timeout: 90_000 });
		const answer = await once().catch((e) => {
			if (e instanceof Refused) throw e;
			return once(); // the agent is being restarted, or has closed a connection that was quiet for long: once more
		});
		const body = await text(answer);
		if (answer.statusCode === 304) return false;
		this.etag = answer.headers.etag;
		this.value = JSON.parse(body).access_token;
		return true;
	}
}

/** What happens to a connection, without end: an event's name, and "" whenever a stream has begun. */
async function* events(name) {
	let last;
	for (;;) {
		let kind;
		try {
			const headers = last ? { "Last-Event-ID": last } : {};
			const stream = await ask(`/v1/watch?connection=${name}`, headers, { agent: false, timeout: STREAM_SILENCE });
			yield "";
			for await (const line of readline.createInterface({ input: stream })) {
				if (line.startsWith("id: ")) last = line.slice(4);
				else if (line.startsWith("event: ")) kind = line.slice(7);
				else if (line === "" && kind) {
					yield kind;
					kind = undefined;
				}
			}
		} catch (e) {
			if (e instanceof Refused) throw e;
		}
		await sleep(1000); // the agent is being restarted, or silent
	}
}

async function main(what, name) {
	const token = new Token(name);
	const show = (changed) => changed && console.log(`token of ${Buffer.byteLength(token.value)} bytes`);
	if (what === "get") {
		await token.get();
		process.stdout.write(token.value);
	} else if (what === "wait") {
		for (;;) show(await token.get("30s"));
	} else {
		for await (const event of events(name)) { // first the stream, then the token: then no change falls between
			if (event) console.log("event", event);
			if (event !== "expiring") show(await token.get());
		}
	}
}

const [what, name] = process.argv.slice(2);
if (process.argv.length !== 4 || !["get", "wait", "watch"].includes(what) || !socketPath) {
	console.error("usage: client.mjs get|wait|watch NAME; MAKINI_AGENT_SOCKET names the agent's socket");
	process.exit(2);
}
main(what, name).then(
	() => keep.destroy(),
	(e) => {
		console.error(e instanceof Refused ? `client: ${e.message}` : `client: the agent cannot be reached at ${socketPath}: ${e.message}`);
		process.exit(e.exitCode ?? 6);
	},
);
