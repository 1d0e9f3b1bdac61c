// SPDX-License-Identifier: Apache-2.0
//
// Tokens from the Makini Agent in C++11, with libmakini: a handle that closes itself, a token that wipes itself.
//
//   libmakini get NAME     prints the token
//   libmakini watch NAME   a line for the token, and for each one that replaces it, until it is dead
//
//   c++ -std=c++11 -o libmakini libmakini.cc $(pkg-config --cflags --libs libmakini)
//
// Exit codes: 1 failed, 2 usage, 3 denied, 4 not found, 5 revoked, expired or disabled, 6 unavailable.
#include <makini/client.h>

#include <poll.h>
#include <string.h>

#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

class Failure : public std::runtime_error {
public:
	Failure(const std::string &what, int error) : std::runtime_error(what + ": " + makini_strerror(error)), error(error) {}
	int exit_code() const
	{
		switch (error) {
		case MAKINI_EDENIED: return 3;
		case MAKINI_ENOTFOUND: return 4;
		case MAKINI_EREVOKED: case MAKINI_EEXPIRED: case MAKINI_EDISABLED: return 5;
		case MAKINI_EAGENT: case MAKINI_ETIMEOUT: case MAKINI_ERATE: case MAKINI_EBACKEND: case MAKINI_ENOTREADY: case MAKINI_EFROZEN: return 6;
		default: return 1;
		}
	}
	int error;
};

// Lives for one call to the customer's system; it cannot be copied, and leaves nothing behind.
class Token {
public:
	Token() = default;
	Token(const Token &) = delete;
	Token &operator=(const Token &) = delete;
	~Token() { explicit_bzero(text, sizeof text); }
	char text[MAKINI_TOKEN_MAX + 1];
	makini_info info;
};

class Agent {
public:
	Agent() : handle(nullptr, makini_close)
	{
		makini *m;
		const int error = makini_open(nullptr, &m);
		if (error)
			throw Failure("agent", error);
		handle.reset(m);
	}
	void get(const std::string &name, Token &token)
	{
		const int error = makini_get(handle.get(), name.c_str(), token.text, sizeof token.text, &token.info);
		if (error)
			throw Failure(name, error);
	}
	// The names that changed; waits for at least one, for an agent that left, or for so long.
	std::vector<std::string> changed(int wait_ms)
	{
		std::vector<std::string> names;
		char name[MAKINI_NAME_MAX + 1];
		pollfd p = {makini_watch_fd(handle.get()), POLLIN, 0};
		if (p.fd < 0)
			throw Failure("watch", p.fd);
		poll(&p, 1, wait_ms);
		int more;
		while ((more = makini_watch_next(handle.get(), name)) == 1)
			names.push_back(name);
		if (more < 0)
			std::cerr << makini_strerror(more) << std::endl; // the library connects again by itself
		return names;
	}
private:
	std::unique_ptr<makini, void (*)(makini *)> handle;
};

static int use(Agent &agent, const std::string &name)
try {
	Token token;
	agent.get(name, token);
	std::cout << name << ": token of " << token.info.size << " bytes" << std::endl;
	return 0;
} catch (const Failure &f) {
	std::cerr << f.what() << std::endl;
	return f.exit_code();
}

static int watch(Agent &agent, const std::string &name)
{
	int last = use(agent, name);
	while (last != 5) {
		for (const auto &changed : agent.changed(last == 6 ? 1000 : -1)) // of all names that this handle was asked for
			last = use(agent, changed);
		if (last == 6) // it may get better by itself
			last = use(agent, name);
	}
	return last;
}

int main(int argc, char **argv)
try {
	const std::string command = argc == 3 ? argv[1] : "";
	if (command == "watch") {
		Agent agent;
		return watch(agent, argv[2]);
	}
	if (command == "get") {
		Agent agent;
		Token token;
		agent.get(argv[2], token);
		std::cout << token.text << std::flush;
		return 0;
	}
	std::cerr << "usage: " << argv[0] << " get NAME | watch NAME" << std::endl;
	return 2;
} catch (const Failure &f) {
	std::cerr << f.what() << std::endl;
	return f.exit_code();
}
