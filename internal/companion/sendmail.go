package companion

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/foreign"
	"waxwing/internal/reason"
	"waxwing/smtp"
)

// Sendmail hands mail to the program sendmail of the mail server beside us
// (CMP-4). It is a transport of the queue, and safe for concurrent use.
type Sendmail struct {
	Path    string           // of the program
	Timeout time.Duration    // 0: 2 min
	Now     func() time.Time // nil: time.Now
}

// The codes of sysexits.h after which a later try can only fail again.
const (
	exDataErr = 65
	exNoUser  = 67
)

// Deliver makes one attempt. It is all or nothing.
func (s *Sendmail) Deliver(ctx context.Context, job *delivery.Job, c delivery.Content) delivery.Result {
	res := delivery.Result{Started: s.now(), Transport: delivery.ByRelay, Name: "sendmail"}
	outcome := delivery.RecipientResult{Outcome: delivery.Delivered, Word: reason.Accepted, Text: s.Path + " took the message", TLS: "none"}
	if err := s.run(ctx, job, c); err != nil {
		outcome = delivery.RecipientResult{Outcome: delivery.Deferred, Word: reason.ConnectFailed, Text: err.Error(), Enhanced: smtp.Enhanced{Class: 4, Subject: 3}}
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			outcome.Word = reason.RemoteReply
			if exit.ExitCode() == exDataErr || exit.ExitCode() == exNoUser {
				outcome.Outcome, outcome.Enhanced.Class = delivery.Failed, 5
			}
		}
	}
	for _, r := range job.Recipients {
		outcome.ID = r.ID
		res.Recipients = append(res.Recipients, outcome)
	}
	res.Ended = s.now()
	return res
}

func (s *Sendmail) run(ctx context.Context, job *delivery.Job, c delivery.Content) error {
	r, err := c.Open()
	if err != nil {
		return fmt.Errorf("read the message: %w", err)
	}
	defer r.Close()
	msg, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("read the message: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(s.Timeout, 2*time.Minute))
	defer cancel()
	args := []string{"-i", "-f", job.Sender, "--"}
	for _, r := range job.Recipients {
		args = append(args, r.Address)
	}
	cmd := exec.CommandContext(ctx, s.Path, args...)
	cmd.WaitDelay = 5 * time.Second
	cmd.Stdin = bytes.NewReader(bytes.ReplaceAll(msg, []byte("\r\n"), []byte("\n")))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", s.Path, err, foreign.Clip(line(said.String()), 300))
	}
	return nil
}

func (s *Sendmail) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}
