package jmap

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Request is what a client asks for at once (RFC 8620 §3.3).
type Request struct {
	Using []string
	Calls []Call
	// CreatedIDs are ids by creation id, of earlier requests; nil: none were given.
	CreatedIDs map[ID]ID
}

// Call is one method call.
type Call struct {
	Name string
	Args map[string]json.RawMessage
	ID   string // the client's name for it
}

// Response is the answer to a Request (RFC 8620 §3.4).
type Response struct {
	Results      []Result  `json:"methodResponses"`
	CreatedIDs   map[ID]ID `json:"createdIds,omitempty"`
	SessionState string    `json:"sessionState"`
}

// Result is one method response; a call may have several.
type Result struct {
	Name string
	Args json.RawMessage
	ID   string
}

// MarshalJSON writes it as the triple that it is (RFC 8620 §3.2).
func (r Result) MarshalJSON() ([]byte, error) { return json.Marshal([3]any{r.Name, r.Args, r.ID}) }

// UnmarshalJSON reads it.
func (r *Result) UnmarshalJSON(b []byte) error {
	var parts []json.RawMessage
	if err := json.Unmarshal(b, &parts); err != nil {
		return err
	}
	if len(parts) != 3 {
		return fmt.Errorf("a method response has 3 parts, not %d", len(parts))
	}
	if err := json.Unmarshal(parts[0], &r.Name); err != nil {
		return err
	}
	r.Args = parts[1]
	return json.Unmarshal(parts[2], &r.ID)
}

// ParseRequest reads a request of at most maxCalls method calls.
func ParseRequest(data []byte, maxCalls int) (*Request, *Problem) {
	if err := CheckIJSON(data); err != nil {
		return nil, problem(ProblemNotJSON, "%v", err)
	}
	var form struct {
		Using      []string            `json:"using"`
		Calls      [][]json.RawMessage `json:"methodCalls"`
		CreatedIDs map[ID]ID           `json:"createdIds"`
	}
	exact, err := members(data)
	if err != nil {
		return nil, problem(ProblemNotRequest, "the request is no object")
	}
	for _, m := range []struct {
		name string
		into any
		need bool
	}{{"using", &form.Using, true}, {"methodCalls", &form.Calls, true}, {"createdIds", &form.CreatedIDs, false}} {
		raw, ok := exact[m.name]
		if !ok && m.need || isNull(raw) && m.need {
			return nil, problem(ProblemNotRequest, "the request has no %q", m.name)
		}
		if !ok {
			continue
		}
		if err := json.Unmarshal(raw, m.into); err != nil {
			return nil, problem(ProblemNotRequest, "%q: %v", m.name, err)
		}
	}
	if len(form.Calls) > maxCalls {
		return nil, LimitProblem("maxCallsInRequest", fmt.Sprintf("the request has %d method calls, %d are taken", len(form.Calls), maxCalls))
	}
	for id, to := range form.CreatedIDs {
		if !id.Valid() || !to.Valid() {
			return nil, problem(ProblemNotRequest, "createdIds has what is no id")
		}
	}
	r := &Request{Using: form.Using, CreatedIDs: form.CreatedIDs}
	for i, parts := range form.Calls {
		c, err := parseCall(parts)
		if err != nil {
			return nil, problem(ProblemNotRequest, "method call %d: %v", i, err)
		}
		r.Calls = append(r.Calls, c)
	}
	return r, nil
}

func parseCall(parts []json.RawMessage) (c Call, err error) {
	if len(parts) != 3 {
		return c, fmt.Errorf("it has %d parts, not a name, arguments and an id", len(parts))
	}
	if err = json.Unmarshal(parts[0], &c.Name); err != nil || isNull(parts[0]) {
		return c, fmt.Errorf("its name is no text")
	}
	if c.Args, err = members(parts[1]); err != nil {
		return c, fmt.Errorf("its arguments are no object")
	}
	if err = json.Unmarshal(parts[2], &c.ID); err != nil || isNull(parts[2]) {
		return c, fmt.Errorf("its id is no text")
	}
	return c, nil
}

// members reads an object. Go would match names of fields in any case, and take null for an object.
func members(raw []byte) (map[string]json.RawMessage, error) {
	var m map[string]json.RawMessage
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, err
	}
	if m == nil {
		return nil, fmt.Errorf("null is no object")
	}
	return m, nil
}

func isNull(raw json.RawMessage) bool { return bytes.Equal(bytes.TrimSpace(raw), []byte("null")) }
