package smtpclient_test

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"

	"waxwing/sasl"
	"waxwing/smtp"
	"waxwing/smtpclient"
)

// Each file of testdata is a dialogue (SES-2, SES-5, SES-9): "calls" are made on a Conn, whose peer
// follows "dialogue" (S: sends, C: expects, CLOSE closes), and what the calls
// gave is compared with "want". "message" is the message that is sent.
func TestDialogues(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dialogues: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			parts := map[string]string{}
			for _, f := range ar.Files {
				parts[f.Name] = string(f.Data)
			}
			got := play(t, parts)
			if want := strings.TrimSpace(parts["want"]); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

func play(t *testing.T, parts map[string]string) string {
	here, there := net.Pipe()
	peer := make(chan error, 1)
	go func() { peer <- follow(there, parts["dialogue"]) }()
	s := &script{
		c:       smtpclient.New(here, smtpclient.Options{HELO: "client.test", LMTP: strings.Contains(parts["dialogue"], "LHLO")}),
		message: strings.ReplaceAll(parts["message"], "\n", "\r\n"),
	}
	for line := range strings.Lines(parts["calls"]) {
		s.call(strings.Fields(line))
	}
	s.c.Close()
	if err := <-peer; err != nil {
		t.Errorf("the peer: %v", err)
	}
	return strings.Join(s.out, "\n")
}

// follow is the peer's side of a dialogue.
func follow(nc net.Conn, dialogue string) error {
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(2 * time.Minute))
	br := bufio.NewReader(nc)
	for line := range strings.Lines(dialogue) {
		line = strings.TrimSuffix(line, "\n")
		switch what, text, _ := strings.Cut(line, ": "); what {
		case "S":
			if _, err := fmt.Fprintf(nc, "%s\r\n", text); err != nil {
				return fmt.Errorf("cannot send %q: %w", text, err)
			}
		case "C":
			got, err := smtp.NewLineReader(br, 5000).ReadLine()
			if err != nil || string(got) != text {
				return fmt.Errorf("expected %q, got %q (%v)", text, got, err)
			}
		case "CLOSE":
			return nil
		default:
			return fmt.Errorf("cannot follow %q", line)
		}
	}
	// Nothing more may come.
	if rest, err := br.ReadString('\n'); rest != "" {
		return fmt.Errorf("after the end: %q (%v)", rest, err)
	}
	return nil
}

type script struct {
	c       *smtpclient.Conn
	message string
	out     []string
}

func (s *script) say(format string, args ...any) { s.out = append(s.out, fmt.Sprintf(format, args...)) }

func (s *script) call(f []string) {
	ctx := context.Background()
	switch f[0] {
	case "greeting":
		r, err := s.c.Greeting(ctx)
		s.result("greeting", r, err)
	case "hello":
		err := s.c.Hello(ctx)
		s.result("hello", s.c.HelloReply(), err)
		if err == nil {
			s.say("offers: %s", strings.Join(s.c.Extensions().Lines(), ", "))
		}
	case "login":
		s.result("login", nil, s.c.Auth(ctx, sasl.NewPlainClient("", "user", "secret")))
	case "login-steps":
		s.result("login", nil, s.c.Auth(ctx, &steps{}))
	case "transaction":
		s.transaction(ctx, smtpclient.Transaction{}, f[1:])
	case "chunk": // on a connection that was kept
		s.transaction(ctx, smtpclient.Transaction{Reset: true, Chunk: true}, f[1:])
	case "quit":
		s.result("quit", nil, s.c.Quit(ctx))
	default:
		s.say("no such call: %v", f)
	}
}

func (s *script) transaction(ctx context.Context, t smtpclient.Transaction, to []string) {
	t.Mail, t.Body = smtpclient.MailOptions{From: "from@a.test"}, strings.NewReader(s.message)
	for _, a := range to {
		t.Rcpts = append(t.Rcpts, smtpclient.RcptOptions{To: a})
	}
	res, err := s.c.Transaction(ctx, t)
	s.say("mail: %v", res.Mail)
	for i, r := range res.Rcpts {
		s.say("rcpt %s: %v, accepted %v", to[i], r, res.Accepted(i))
	}
	s.say("data: %v, dot sent %v, usable %v", res.Data, res.DotSent, s.c.Usable())
	if err != nil {
		s.say("transaction: error: %v", err)
	}
}

func (s *script) result(call string, r *smtp.Reply, err error) {
	switch {
	case err != nil:
		s.say("%s: error: %v", call, err)
	case r != nil:
		s.say("%s: %v", call, r)
	default:
		s.say("%s: done", call)
	}
}

// steps is a mechanism whose last answer is empty, as SCRAM's is.
type steps struct{ n int }

func (*steps) Start() (string, []byte, error) { return "STEPS", []byte{}, nil }

func (s *steps) Next(challenge []byte) ([]byte, error) {
	if s.n++; s.n == 1 {
		return challenge, nil
	}
	return nil, nil
}
