// SPDX-License-Identifier: Apache-2.0
//
// A token from the Makini Agent in Java (17 or later), with the standard library alone: `java Client.java get NAME`. java.net.http knows no Unix sockets,
// so this speaks the little HTTP that it takes.
//
//   get NAME     prints the token
//   wait NAME    a line for each new token, by long poll, until it is dead
//   watch NAME   a line for each event and each new token, by the stream, until it is dead
//
// Exit codes: 1 failed, 2 usage, 3 denied, 4 not found, 5 revoked, expired or disabled, 6 unavailable.
import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import java.util.Timer;
import java.util.TimerTask;

public final class Client {
	static final int ANSWER_MS = 90_000, SILENCE_MS = 45_000; // a stream says something every 15 s

	static final class Refused extends IOException {
		private static final long serialVersionUID = 1;
		final int status;

		Refused(int status, String code) {
			super(status + " " + code);
			this.status = status;
		}

		int exitCode() {
			return switch (status) {
				case 403 -> 3;
				case 404 -> 4;
				case 410 -> 5;
				default -> status == 429 || status >= 500 ? 6 : 1;
			};
		}
	}

	/** One request and its answer, on a connection of its own. Nothing heard for so many ms closes it. */
	static final class Call implements AutoCloseable {
		private static final Timer WATCHDOG = new Timer(true);
		private final SocketChannel channel;
		private final InputStream in;
		private final int silenceMs;
		private TimerTask closing;
		final Map<String, String> head = new HashMap<>();
		int status;

		Call(String socket, String target, Map<String, String> headers, int silenceMs) throws IOException {
			this.silenceMs = silenceMs;
			channel = SocketChannel.open(UnixDomainSocketAddress.of(socket));
			in = new BufferedInputStream(Channels.newInputStream(channel));
			try {
				heard();
				StringBuilder request = new StringBuilder("GET " + target + " HTTP/1.1\r\nHost: agent\r\nAccept: text/plain, text/event-stream\r\n");
				headers.forEach((k, v) -> request.append(k).append(": ").append(v).append("\r\n"));
				ByteBuffer out = ByteBuffer.wrap(request.append("\r\n").toString().getBytes(StandardCharsets.US_ASCII));
				while (out.hasRemaining()) channel.write(out);
				status = Integer.parseInt(line().split(" ")[1]);
				for (String h = line(); !h.isEmpty(); h = line()) {
					int colon = h.indexOf(':');
					head.put(h.substring(0, colon).toLowerCase(), h.substring(colon + 1).trim());
				}
				if (status != 200 && status != 304) throw new Refused(status, new String(body()).replaceAll("(?s).*\"code\":\"([a-z_]*)\".*", "$1"));
			} catch (IOException | RuntimeException e) {
				close();
				throw e;
			}
		}

		private void heard() {
			if (closing != null) closing.cancel();
			closing = new TimerTask() {
				@Override public void run() {
					close();
				}
			};
			WATCHDOG.schedule(closing, silenceMs);
		}

		private String line() throws IOException {
			ByteArrayOutputStream text = new ByteArrayOutputStream();
			for (int c = in.read(); c != '\n'; c = in.read()) {
				if (c < 0) throw new EOFException("the agent left");
				if (c != '\r') text.write(c);
			}
			heard();
			return text.toString(StandardCharsets.US_ASCII);
		}

		private byte[] exactly(int n) throws IOException {
			byte[] bytes = in.readNBytes(n);
			if (bytes.length < n) throw new EOFException("the agent left");
			return bytes;
		}

		byte[] body() throws IOException {
			return exactly(Integer.parseInt(head.getOrDefault("content-length", "0")));
		}

		/** The next piece of a stream, which is chunked; null at its end. */
		String piece() throws IOException {
			int n = Integer.parseInt(line().split(";")[0], 16);
			String text = new String(exactly(n), StandardCharsets.UTF_8);
			line();
			return n == 0 ? null : text;
		}

		@Override public void close() {
			closing.cancel();
			try {
				channel.close();
			} catch (IOException ignored) {
				// it is closed all the same
			}
		}
	}

	final String socket, name;
	String etag, lastId;
	byte[] value = {};

	Client(String socket, String name) {
		this.socket = socket;
		this.name = name;
	}

	/** Asks; with wait = "30s" not before it changes. True where it is another than before. */
	boolean get(String wait) throws IOException {
		try {
			return ask(wait);
		} catch (Refused e) {
			throw e;
		} catch (IOException e) {
			return ask(wait); // the agent is being restarted: once more
		}
	}

	private boolean ask(String wait) throws IOException {
		Map<String, String> headers = etag == null ? Map.of() : Map.of("If-None-Match", etag);
		String query = wait == null || etag == null ? "" : "?wait=" + wait;
		try (Call c = new Call(socket, "/v1/tokens/" + name + query, headers, ANSWER_MS)) {
			if (c.status == 304) return false;
			etag = c.head.get("etag");
			value = c.body();
			return true;
		}
	}

	void show(boolean changed) {
		if (changed) System.out.println("token of " + value.length + " bytes");
	}

	/** Reads one stream to its end. First the stream, then the token: then no change falls between. */
	void stream() throws IOException {
		Map<String, String> headers = lastId == null ? Map.of() : Map.of("Last-Event-ID", lastId);
		try (Call c = new Call(socket, "/v1/watch?connection=" + name, headers, SILENCE_MS)) {
			show(get(null));
			StringBuilder text = new StringBuilder();
			for (String piece = c.piece(); piece != null; piece = c.piece()) {
				text.append(piece);
				for (int end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
					event(text.substring(0, end));
					text.delete(0, end + 2);
				}
			}
		}
	}

	void event(String block) throws IOException {
		String kind = null;
		for (String line : block.split("\n")) {
			if (line.startsWith("id: ")) lastId = line.substring(4);
			if (line.startsWith("event: ")) kind = line.substring(7);
		}
		if (kind == null) return;
		System.out.println("event " + kind);
		if (!kind.equals("expiring")) show(get(null));
	}

	void watch() throws IOException, InterruptedException {
		for (;;) {
			try {
				stream();
			} catch (Refused e) {
				throw e;
			} catch (IOException e) {
				// the agent is being restarted, or was silent
			}
			Thread.sleep(1000);
		}
	}

	public static void main(String[] args) throws InterruptedException {
		String socket = System.getenv("MAKINI_AGENT_SOCKET");
		if (args.length != 2 || !args[0].matches("get|wait|watch") || socket == null) {
			System.err.println("usage: java Client.java get|wait|watch NAME; MAKINI_AGENT_SOCKET names the agent's socket");
			System.exit(2);
		}
		Client client = new Client(socket, args[1]);
		try {
			switch (args[0]) {
				case "get" -> {
					client.get(null);
					System.out.write(client.value, 0, client.value.length);
					System.out.flush();
				}
				case "wait" -> {
					while (true) client.show(client.get("30s"));
				}
				default -> client.watch();
			}
		} catch (Refused e) {
			System.err.println("client: " + e.getMessage());
			System.exit(e.exitCode());
		} catch (IOException e) {
			System.err.println("client: the agent cannot be reached at " + socket + ": " + e.getMessage());
			System.exit(6);
		}
	}
}
