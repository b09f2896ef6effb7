package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"waxwing/internal/apikeys"
	"waxwing/internal/receive"
	"waxwing/sasl"
	"waxwing/smtp"
)

// Problem is why a request was not carried out (RFC 9457). As an error it is what an operation
// returns.
type Problem struct {
	Type   string `json:"type" doc:"What kind of problem it is, the same for all of a kind."`
	Title  string `json:"title" doc:"The kind in words."`
	Status int    `json:"status" doc:"The HTTP status."`
	Detail string `json:"detail,omitempty" doc:"What happened this time, and what to do."`

	Right      string    `json:"right,omitempty" doc:"The right that the key lacks."`
	SMTP       *Reply    `json:"smtp,omitempty" doc:"How submission by SMTP would have been answered."`
	Recipients []Refused `json:"recipients,omitempty" doc:"The recipients that were refused; nothing was sent to the others either."`

	after time.Duration // Retry-After; 0: none
	allow string        // of 405: the methods that there are
	cause error         // for the log
}

// Reply is a reply of SMTP.
type Reply struct {
	Code     int    `json:"code"`
	Enhanced string `json:"enhanced,omitempty" doc:"The enhanced status code (RFC 3463)."`
	Text     string `json:"text"`
}

// Refused is a recipient that was refused.
type Refused struct {
	Address string `json:"address"`
	SMTP    Reply  `json:"smtp"`
}

func (p *Problem) Error() string { return p.Title + ": " + p.Detail }
func (p *Problem) Unwrap() error { return p.cause }

// The kinds of problems.
const (
	noKey        = "key-missing"
	badKey       = "key-refused"
	slowDown     = "too-many-requests"
	missingRight = "missing-right"
	notFound     = "not-found"
	noMethod     = "method-not-allowed"
	badRequest   = "invalid-request"
	badMedia     = "unsupported-media-type"
	noLength     = "length-required"
	tooLarge     = "too-large"
	keyReused    = "idempotency-key-reused"
	notAllowed   = "sender-not-allowed"
	refused      = "message-refused"
	unavailable  = "try-again-later"
)

// kind is what all problems of a kind have in common.
type kind struct {
	name   string
	status int
	title  string
}

func kinds() []kind {
	return []kind{
		{noKey, http.StatusUnauthorized, "An API key is needed"},
		{badKey, http.StatusUnauthorized, "The API key is not taken"},
		{missingRight, http.StatusForbidden, "The API key lacks a right"},
		{notAllowed, http.StatusForbidden, "The sender is not the account's"},
		{notFound, http.StatusNotFound, "There is no such thing"},
		{noMethod, http.StatusMethodNotAllowed, "The method is not offered here"},
		{badRequest, http.StatusBadRequest, "The request cannot be read"},
		{noLength, http.StatusLengthRequired, "The length of the request is needed"},
		{tooLarge, http.StatusRequestEntityTooLarge, "The message is too large"},
		{badMedia, http.StatusUnsupportedMediaType, "The media type is not taken"},
		{refused, http.StatusUnprocessableEntity, "The message was refused"},
		{keyReused, http.StatusUnprocessableEntity, "The idempotency key stands for another request"},
		{slowDown, http.StatusTooManyRequests, "Too much at this moment"},
		{unavailable, http.StatusServiceUnavailable, "Not now"},
	}
}

// problem makes one of a kind.
func problem(name, detail string) *Problem {
	for _, k := range kinds() {
		if k.name == name {
			return &Problem{Type: "urn:waxwing:problem:" + name, Title: k.title, Status: k.status, Detail: detail}
		}
	}
	panic("api: no kind of problem is called " + name)
}

const (
	retrySoon  = 10 * time.Second
	retryLater = 5 * time.Minute
	retryLogin = 15 * time.Minute // what login remembers failures for
)

// problemOf says what an error is to the client. It is pure; an error that nobody has
// foreseen is a fault of ours, whose text stays here.
func problemOf(err error) *Problem {
	var p *Problem
	var recipients receive.RefusedRecipients
	var reply *smtp.Reply
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &recipients):
		return recipientsProblem(recipients)
	case errors.Is(err, apikeys.ErrReused):
		return problem(keyReused, err.Error())
	case errors.As(err, &large):
		return problem(tooLarge, "at most "+strconv.FormatInt(large.Limit, 10)+" octets are taken")
	case errors.As(err, &reply):
		return replyProblem(reply)
	}
	p = problem(unavailable, "an error of the server's, which is in its log; try again later")
	p.after, p.cause = retryLater, err
	return p
}

// replyProblem is what the refusal of a message is.
func replyProblem(r *smtp.Reply) *Problem {
	policy := r.Enhanced.Subject == 7 && r.Enhanced.Detail == 1
	name := refused
	switch {
	case r.Temporary() && policy:
		name = slowDown
	case r.Temporary():
		name = unavailable
	case policy:
		name = notAllowed
	case r.Enhanced.Subject == 3 && r.Enhanced.Detail == 4:
		name = tooLarge
	}
	p := problem(name, r.Text())
	p.SMTP, p.cause = replyOf(r), r.Cause
	if r.Temporary() {
		p.after = retryLater
	}
	return p
}

func replyOf(r *smtp.Reply) *Reply {
	return &Reply{Code: r.Code, Enhanced: r.Enhanced.String(), Text: r.Text()}
}

// recipientsProblem is for good if one of the recipients was refused for good.
func recipientsProblem(all receive.RefusedRecipients) *Problem {
	name := unavailable
	for _, x := range all {
		if x.Reply.Permanent() {
			name = refused
		}
	}
	p := problem(name, "nothing was sent, since recipients were refused")
	if name == unavailable {
		p.after = retryLater
	}
	for _, x := range all {
		p.Recipients = append(p.Recipients, Refused{x.Address, *replyOf(x.Reply)})
	}
	return p
}

// loginProblem is why a key was not taken.
func loginProblem(err error) *Problem {
	var reply *smtp.Reply
	switch {
	case errors.Is(err, sasl.ErrFailed):
		return problem(badKey, "this is no API key, it has expired, or its account is disabled; \"waxwing api key list\" shows those there are")
	case errors.As(err, &reply) && !reply.Temporary(): // the account's rules (ACC-3)
		return problem(badKey, reply.Text())
	case errors.As(err, &reply):
		p := problem(slowDown, reply.Text())
		p.after = retryLogin
		return p
	}
	return problemOf(err)
}

// write answers with the problem.
func (p *Problem) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	if p.after > 0 {
		h.Set("Retry-After", strconv.Itoa(int(p.after/time.Second)))
	}
	if p.allow != "" {
		h.Set("Allow", p.allow)
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="waxwing"`)
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // a client that has gone
}
