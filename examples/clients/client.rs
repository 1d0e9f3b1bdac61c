// SPDX-License-Identifier: Apache-2.0

//! A token from the Makini Agent in Rust (1.63 or later), with the standard library alone: `rustc -O client.rs`. An HTTP crate
//! that takes a `UnixStream` does as well; this speaks the little HTTP that it takes.
//!
//!   client get NAME     prints the token
//!   client wait NAME    a line for each new token, by long poll, until it is dead
//!   client watch NAME   a line for each event and each new token, by the stream, until it is dead
//!
//! Exit codes: 1 failed, 2 usage, 3 denied, 4 not found, 5 revoked, expired or disabled, 6 unavailable.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;
use std::{env, process, thread};

const ANSWER: Duration = Duration::from_secs(90);
const SILENCE: Duration = Duration::from_secs(45); // a stream says something every 15 s

enum Failed {
    Refused(u16, String),
    Unreachable(io::Error),
}

impl From<io::Error> for Failed {
    fn from(e: io::Error) -> Self {
        Failed::Unreachable(e)
    }
}

impl Failed {
    fn exit_code(&self) -> i32 {
        match self {
            Failed::Refused(403, _) => 3,
            Failed::Refused(404, _) => 4,
            Failed::Refused(410, _) => 5,
            Failed::Refused(429 | 500..=599, _) | Failed::Unreachable(_) => 6,
            Failed::Refused(..) => 1,
        }
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// An answer, on a connection of its own.
struct Answer {
    from: BufReader<UnixStream>,
    status: u16,
    head: HashMap<String, String>,
}

impl Answer {
    fn to(socket: &str, target: &str, header: Option<(&str, &str)>, silence: Duration) -> Result<Answer, Failed> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(silence))?;
        let more = header.map_or(String::new(), |(k, v)| format!("{k}: {v}\r\n"));
        write!(stream, "GET {target} HTTP/1.1\r\nHost: agent\r\nAccept: text/plain, text/event-stream\r\n{more}\r\n")?;
        let mut a = Answer { from: BufReader::new(stream), status: 0, head: HashMap::new() };
        a.status = a.line()?.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(|| broken("no status"))?;
        loop {
            let line = a.line()?;
            match line.split_once(':') {
                Some((k, v)) => a.head.insert(k.to_ascii_lowercase(), v.trim().to_string()),
                None => break,
            };
        }
        if a.status == 200 || a.status == 304 {
            return Ok(a);
        }
        let body = String::from_utf8_lossy(&a.body()?).into_owned();
        let code = body.split("\"code\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("");
        Err(Failed::Refused(a.status, code.to_string()))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_string())
    }

    fn body(&mut self) -> io::Result<Vec<u8>> {
        let n = self.head.get("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
        let mut bytes = vec![0; n];
        self.from.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// The next piece of a stream, which is chunked; None at its end.
    fn piece(&mut self) -> io::Result<Option<String>> {
        let n = usize::from_str_radix(&self.line()?, 16).map_err(|_| broken("no chunk"))?;
        let mut bytes = vec![0; n];
        self.from.read_exact(&mut bytes)?;
        self.line()?;
        Ok((n > 0).then(|| String::from_utf8_lossy(&bytes).into_owned()))
    }
}

/// One connection's token, as it is now.
struct Token {
    socket: String,
    name: String,
    etag: Option<String>,
    last_id: Option<String>,
    value: Vec<u8>,
}

impl Token {
    /// Asks; with a wait ("30s") not before it changes. True where it is another than before.
    fn get(&mut self, wait: Option<&str>) -> Result<bool, Failed> {
        match self.ask(wait) {
            Err(Failed::Unreachable(_)) => self.ask(wait), // the agent is being restarted: once more
            answered => answered,
        }
    }

    fn ask(&mut self, wait: Option<&str>) -> Result<bool, Failed> {
        let query = wait.filter(|_| self.etag.is_some()).map_or(String::new(), |w| format!("?wait={w}"));
        let header = self.etag.as_deref().map(|e| ("If-None-Match", e));
        let mut answer = Answer::to(&self.socket, &format!("/v1/tokens/{}{query}", self.name), header, ANSWER)?;
        if answer.status == 304 {
            return Ok(false);
        }
        self.etag = answer.head.get("etag").cloned();
        self.value = answer.body()?;
        Ok(true)
    }

    fn show(&mut self, wait: Option<&str>) -> Result<(), Failed> {
        if self.get(wait)? {
            println!("token of {} bytes", self.value.len());
        }
        Ok(())
    }

    /// Reads one stream to its end. First the stream, then the token: then no change falls between.
    fn stream(&mut self) -> Result<(), Failed> {
        let header = self.last_id.as_deref().map(|id| ("Last-Event-ID", id));
        let mut stream = Answer::to(&self.socket, &format!("/v1/watch?connection={}", self.name), header, SILENCE)?;
        self.show(None)?;
        let mut text = String::new();
        while let Some(piece) = stream.piece()? {
            text += &piece;
            while let Some(end) = text.find("\n\n") {
                let rest = text.split_off(end + 2);
                self.event(&text)?;
                text = rest;
            }
        }
        Ok(())
    }

    fn event(&mut self, block: &str) -> Result<(), Failed> {
        let mut kind = None;
        for line in block.lines() {
            match line.split_once(": ") {
                Some(("id", value)) => self.last_id = Some(value.to_string()),
                Some(("event", value)) => kind = Some(value),
                _ => {}
            }
        }
        match kind {
            None => return Ok(()),
            Some(kind) => println!("event {kind}"),
        }
        if kind == Some("expiring") {
            return Ok(());
        }
        self.show(None)
    }

    fn watch(&mut self) -> Result<(), Failed> {
        loop {
            if let Err(e @ Failed::Refused(..)) = self.stream() {
                return Err(e);
            }
            thread::sleep(Duration::from_secs(1)); // the agent is being restarted, or silent
        }
    }
}

fn run(what: &str, token: &mut Token) -> Result<(), Failed> {
    match what {
        "get" => {
            token.get(None)?;
            io::stdout().write_all(&token.value)?;
            Ok(())
        }
        "wait" => loop {
            token.show(Some("30s"))?;
        },
        _ => token.watch(),
    }
}

fn main() {
    let args: Vec<String> = env::args().collect();
    let socket = env::var("MAKINI_AGENT_SOCKET").unwrap_or_default();
    if args.len() != 3 || !["get", "wait", "watch"].contains(&args[1].as_str()) || socket.is_empty() {
        eprintln!("usage: client get|wait|watch NAME; MAKINI_AGENT_SOCKET names the agent's socket");
        process::exit(2);
    }
    let mut token = Token { socket, name: args[2].clone(), etag: None, last_id: None, value: Vec::new() };
    if let Err(e) = run(&args[1], &mut token) {
        match &e {
            Failed::Refused(status, code) => eprintln!("client: {status} {code}"),
            Failed::Unreachable(why) => eprintln!("client: the agent cannot be reached at {}: {why}", token.socket),
        }
        process::exit(e.exit_code());
    }
}
