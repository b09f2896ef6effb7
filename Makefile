# The common tasks; .ci/run does all of them on a bare machine.
GO ?= go
FUZZTIME ?= 60s

.PHONY: build deb test race vet staticcheck fuzz bench bench-smoke bench-imap abuse generate lab

build:
	CGO_ENABLED=0 $(GO) build -trimpath -pgo=packaging/waxwing.pgo -o bin/waxwing ./cmd/waxwing

# The Debian package, in dist/.
deb:
	GO=$(GO) bash packaging/build.sh

lab:
	$(GO) run ./cmd/waxwing lab

# What was skipped, and why, stands at the end.
test:
	$(GO) test -json ./... | $(GO) run ./scripts/testsum

# Not in the C of SQLite, as translated to Go, nor in the hashing of passwords: none of it is ours, and the detector would be busy there for most of the time.
UNRACED = modernc.org/sqlite/lib modernc.org/libc golang.org/x/crypto/argon2 golang.org/x/crypto/blake2b
race:
	$(GO) test -race -shuffle=on $(UNRACED:%=-gcflags=%=-race=false) -timeout 60m $(RACE) ./...

vet:
	$(GO) vet ./...

staticcheck:
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

# Every fuzz target of the tree, FUZZTIME each.
fuzz:
	FUZZTIME=$(FUZZTIME) bash scripts/fuzz.sh

# Waxwing and, where it is installed, Debian's Postfix, in the same run. See docs/performance.md.
bench:
	bash bench/run.sh

bench-smoke:
	SMOKE=1 bash bench/run.sh

# What mail programs do in a mailbox of 100,000 messages, on Waxwing and Debian's Dovecot in the same run.
bench-imap:
	bash bench/imap.sh

# What strangers can do: memory under attack, and what others keep of their throughput. At most five minutes.
abuse:
	bash bench/abuse.sh

# What is made from the code: the webmail's script, configuration reference, decision table, metrics, the README's picture.
generate:
	$(GO) run ./scripts/webmail
	$(GO) test ./internal/policy ./internal/disposition ./internal/screening ./internal/config ./internal/reason ./internal/web/api -run 'Golden|Docs|Fresh|Generated' -update
	$(GO) test ./internal/server -run TestMetricsPage -update
	$(GO) test ./cmd/waxwing -run TestCommandsInTheLab/picture -update
