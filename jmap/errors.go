package jmap

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Problem is why a whole request was not carried out (RFC 8620 §3.6.1, RFC 7807).
type Problem struct {
	Type   string `json:"type"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Limit  string `json:"limit,omitempty"` // which limit, with ProblemLimit
}

func (p *Problem) Error() string { return p.Type + ": " + p.Detail }

// Types of problems.
const (
	ProblemUnknownCapability = "urn:ietf:params:jmap:error:unknownCapability"
	ProblemNotJSON           = "urn:ietf:params:jmap:error:notJSON"
	ProblemNotRequest        = "urn:ietf:params:jmap:error:notRequest"
	ProblemLimit             = "urn:ietf:params:jmap:error:limit"
)

func problem(kind, format string, args ...any) *Problem {
	return &Problem{Type: kind, Status: http.StatusBadRequest, Detail: fmt.Sprintf(format, args...)}
}

// LimitProblem is that of a limit, by its name in the session.
func LimitProblem(limit, detail string) *Problem {
	p := problem(ProblemLimit, "%s", detail)
	p.Limit = limit
	return p
}

// Error is why one method call was not carried out (RFC 8620 §3.6.2): the arguments of its
// "error" response.
type Error struct {
	Type        string `json:"type"`
	Description string `json:"description,omitempty"`
}

func (e *Error) Error() string { return e.Type + ": " + e.Description }

// Types of errors of method calls.
const (
	ServerUnavailable       = "serverUnavailable"
	ServerFail              = "serverFail"
	ServerPartialFail       = "serverPartialFail"
	UnknownMethod           = "unknownMethod"
	InvalidArguments        = "invalidArguments"
	InvalidResultReference  = "invalidResultReference"
	Forbidden               = "forbidden"
	AccountNotFound         = "accountNotFound"
	AccountNotSupported     = "accountNotSupportedByMethod"
	AccountReadOnly         = "accountReadOnly"
	RequestTooLarge         = "requestTooLarge"
	StateMismatch           = "stateMismatch"
	CannotCalculateChanges  = "cannotCalculateChanges"
	TooManyChanges          = "tooManyChanges"
	AnchorNotFound          = "anchorNotFound"
	UnsupportedSort         = "unsupportedSort"
	UnsupportedFilter       = "unsupportedFilter"
	FromAccountNotFound     = "fromAccountNotFound"
	FromAccountNotSupported = "fromAccountNotSupportedByMethod"
	UnknownDataType         = "unknownDataType"
)

// maxDescription is how many octets a description has.
const maxDescription = 1000

// Errorf is an error of a method call.
func Errorf(kind, format string, args ...any) *Error {
	s := fmt.Sprintf(format, args...)
	if len(s) > maxDescription {
		s = strings.ToValidUTF8(s[:maxDescription], "") + "…"
	}
	return &Error{kind, s}
}

// SetError is why one record was not created, updated or destroyed (RFC 8620 §5.3).
type SetError struct {
	Type        string   `json:"type"`
	Description string   `json:"description,omitempty"`
	Properties  []string `json:"properties,omitempty"`
	// More are the further members that some types have, such as existingId.
	More map[string]any `json:"-"`
}

func (e *SetError) Error() string { return e.Type + ": " + e.Description }

// MarshalJSON writes it with what More holds.
func (e *SetError) MarshalJSON() ([]byte, error) {
	m := map[string]any{"type": e.Type}
	if e.Description != "" {
		m["description"] = e.Description
	}
	if len(e.Properties) > 0 {
		m["properties"] = e.Properties
	}
	for k, v := range e.More {
		m[k] = v
	}
	return json.Marshal(m)
}

// Types of set errors (RFC 8620 §5.3, §5.4; RFC 8621 §2.5, §4.6, §4.8, §6.3, §7.5). Forbidden, RequestTooLarge and
// others that method calls have too stand above.
const (
	OverQuota         = "overQuota"
	TooLarge          = "tooLarge"
	RateLimit         = "rateLimit"
	NotFound          = "notFound"
	InvalidPatch      = "invalidPatch"
	WillDestroy       = "willDestroy"
	InvalidProperties = "invalidProperties"
	Singleton         = "singleton"
	AlreadyExists     = "alreadyExists"
	MailboxHasChild   = "mailboxHasChild"
	MailboxHasEmail   = "mailboxHasEmail"
	BlobNotFound      = "blobNotFound"
	TooManyKeywords   = "tooManyKeywords"
	TooManyMailboxes  = "tooManyMailboxes"
	InvalidEmail      = "invalidEmail"
	TooManyRecipients = "tooManyRecipients"
	NoRecipients      = "noRecipients"
	InvalidRecipients = "invalidRecipients"
	ForbiddenMailFrom = "forbiddenMailFrom"
	ForbiddenFrom     = "forbiddenFrom"
	ForbiddenToSend   = "forbiddenToSend"
	CannotUnsend      = "cannotUnsend"
	ScriptIsActive    = "sieveIsActive"
	InvalidScript     = "invalidSieve"
)

// SetErrorf is a set error about some properties.
func SetErrorf(kind string, properties []string, format string, args ...any) *SetError {
	return &SetError{Type: kind, Properties: properties, Description: Errorf(kind, format, args...).Description}
}
