// SPDX-License-Identifier: Apache-2.0

// A token from the Makini Agent in Go (1.19 or later), with the standard library alone.
//
//	client get NAME     prints the token
//	client wait NAME    a line for each new token, by long poll, until it is dead
//	client watch NAME   a line for each event and each new token, by the stream, until it is dead
//
// Exit codes: 1 failed, 2 usage, 3 denied, 4 not found, 5 revoked, expired or disabled, 6 unavailable.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"
)

const streamSilence = 45 * time.Second // the agent says something every 15

type refused struct {
	status int
	Code   string `json:"code"`
}

func (r *refused) Error() string { return fmt.Sprintf("%d %s", r.status, r.Code) }

func (r *refused) exitCode() int {
	switch {
	case r.status == 403:
		return 3
	case r.status == 404:
		return 4
	case r.status == 410:
		return 5
	case r.status == 429 || r.status >= 500:
		return 6
	}
	return 1
}

// One client for all requests: it keeps its connections and uses them again.
func newClient(socket string) *http.Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}
	return &http.Client{Transport: &http.Transport{DialContext: dial}}
}

func ask(ctx context.Context, c *http.Client, target string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://agent"+target, nil)
	if err != nil {
		return nil, err
	}
	req.Header = header
	res, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	if res.StatusCode == http.StatusOK || res.StatusCode == http.StatusNotModified {
		return res, nil
	}
	defer res.Body.Close()
	r := &refused{status: res.StatusCode}
	_ = json.NewDecoder(res.Body).Decode(r)
	return nil, r
}

// One connection's token, as it is now.
type token struct {
	client *http.Client
	name   string
	etag   string
	value  string
}

// get asks; with wait not before it changes. It says whether it is another than before.
func (t *token) get(wait string) (bool, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	defer cancel()
	header, target := http.Header{}, "/v1/tokens/"+t.name
	if t.etag != "" {
		header.Set("If-None-Match", t.etag)
		if wait != "" {
			target += "?wait=" + wait
		}
	}
	res, err := ask(ctx, t.client, target, header)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	if res.StatusCode == http.StatusNotModified {
		return false, nil
	}
	var body struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil {
		return false, err
	}
	t.etag, t.value = res.Header.Get("ETag"), body.AccessToken
	return true, nil
}

// stream reads one stream to its end: heard is called with "" when it has begun, then with each event's name. It gives the last id.
func stream(c *http.Client, name, last string, heard func(string) error) (string, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	header := http.Header{}
	if last != "" {
		header.Set("Last-Event-ID", last)
	}
	silence := time.AfterFunc(streamSilence, cancel)
	defer silence.Stop()
	res, err := ask(ctx, c, "/v1/watch?connection="+name, header)
	if err != nil {
		return last, err
	}
	defer res.Body.Close()
	if err := heard(""); err != nil {
		return last, err
	}
	kind, lines := "", bufio.NewScanner(res.Body)
	for lines.Scan() {
		silence.Reset(streamSilence)
		key, value, _ := strings.Cut(lines.Text(), ": ")
		switch {
		case key == "id":
			last = value
		case key == "event":
			kind = value
		case key == "" && kind != "":
			if err := heard(kind); err != nil {
				return last, err
			}
			kind = ""
		}
	}
	return last, nil
}

func watch(t *token, show func(bool, error) error) error {
	last := ""
	for {
		// First the stream, then the token: then no change falls between.
		var err error
		last, err = stream(t.client, t.name, last, func(event string) error {
			if event != "" {
				fmt.Println("event", event)
			}
			if event == "expiring" {
				return nil
			}
			return show(t.get(""))
		})
		var r *refused
		if errors.As(err, &r) {
			return err
		}
		time.Sleep(time.Second) // the agent is being restarted, or silent
	}
}

func run(what, name, socket string) error {
	t := &token{client: newClient(socket), name: name}
	show := func(changed bool, err error) error {
		if err == nil && changed {
			fmt.Printf("token of %d bytes\n", len(t.value))
		}
		return err
	}
	switch what {
	case "get":
		_, err := t.get("")
		fmt.Print(t.value)
		return err
	case "wait":
		for {
			if err := show(t.get("30s")); err != nil {
				return err
			}
		}
	}
	return watch(t, show)
}

func main() {
	socket := os.Getenv("MAKINI_AGENT_SOCKET")
	if len(os.Args) != 3 || !strings.Contains(" get wait watch ", " "+os.Args[1]+" ") || socket == "" {
		fmt.Fprintln(os.Stderr, "usage: client get|wait|watch NAME; MAKINI_AGENT_SOCKET names the agent's socket")
		os.Exit(2)
	}
	err := run(os.Args[1], os.Args[2], socket)
	var r *refused
	switch {
	case errors.As(err, &r):
		fmt.Fprintln(os.Stderr, "client:", err)
		os.Exit(r.exitCode())
	case err != nil:
		fmt.Fprintln(os.Stderr, "client: the agent cannot be reached:", err)
		os.Exit(6)
	}
}
