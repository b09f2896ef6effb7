package smtpclient

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"

	"waxwing/sasl"
	"waxwing/smtp"
)

// maxRounds bounds the challenges of one AUTH.
const maxRounds = 10

// Auth logs in (RFC 4954). Errors: *ReplyError for a refusal, *ConnError,
// ErrNotOffered, and those of the mechanism, after which the exchange was
// cancelled.
func (c *Conn) Auth(ctx context.Context, client sasl.Client) error {
	mech, ir, err := client.Start()
	if err != nil {
		return err
	}
	if !slices.Contains(c.ext.Auth, mech) {
		return ErrNotOffered
	}
	c.mech = mech
	line := "AUTH " + mech
	if ir != nil {
		line += " " + initial(ir)
		c.secret = base64.StdEncoding.EncodeToString(ir)
	}
	defer func() { c.secret = "" }()
	for range maxRounds {
		r, err := c.exchange(ctx, StepAuth, c.t.Auth, line)
		if err != nil {
			return err
		}
		if r.Code == 235 {
			return c.proved(client)
		}
		if r.Code != 334 {
			return &ReplyError{StepAuth, r}
		}
		answer, err := next(client, r)
		if err != nil {
			// RFC 4954 §4: "*" cancels.
			_, cerr := c.exchange(ctx, StepAuth, c.t.Auth, "*")
			return errors.Join(err, cerr)
		}
		line = base64.StdEncoding.EncodeToString(answer)
		c.secret = line
	}
	c.fail(errRounds)
	return c.connError(StepAuth, errRounds)
}

// AuthMechanism is the mechanism that the last Auth began with; "" before it.
func (c *Conn) AuthMechanism() string { return c.mech }

var errRounds = errors.New("too many challenges")

// proved asks a mechanism that also authenticates the server whether it did.
func (c *Conn) proved(client sasl.Client) error {
	if checked, ok := client.(sasl.Checked); ok {
		return checked.Done()
	}
	return nil
}

// initial is the initial response; an empty one is "=".
func initial(ir []byte) string {
	if len(ir) == 0 {
		return "="
	}
	return base64.StdEncoding.EncodeToString(ir)
}

func next(client sasl.Client, r *smtp.Reply) ([]byte, error) {
	challenge, err := base64.StdEncoding.DecodeString(r.Text())
	if err != nil {
		return nil, errors.New("challenge is not base64")
	}
	return client.Next(challenge)
}
