package spool

import (
	"encoding/json"
	"strings"

	"waxwing/internal/delivery"
	"waxwing/internal/reason"
)

// Why is a reason, and what was said of it.
type Why struct {
	Word reason.Word `json:"word,omitempty"`
	Text string      `json:"text,omitempty"`
}

// Verified is what a verification of a host came to, with why it failed.
type Verified struct {
	OK bool `json:"ok"`
	Why
}

// String is both in a line.
func (w Why) String() string {
	switch {
	case w.Word == "":
		return w.Text
	case w.Text == "":
		return string(w.Word)
	}
	return string(w.Word) + ": " + w.Text
}

func (v Verified) String() string {
	if v.OK {
		return "ok"
	}
	return v.Why.String()
}

// UnmarshalJSON also reads the history of before, which has both in one text.
func (w *Why) UnmarshalJSON(b []byte) error {
	var old string
	if json.Unmarshal(b, &old) == nil {
		*w = parted(old)
		return nil
	}
	type plain Why
	return json.Unmarshal(b, (*plain)(w))
}

// UnmarshalJSON also reads the history of before: "ok", or a reason with its text.
func (v *Verified) UnmarshalJSON(b []byte) error {
	var old string
	if json.Unmarshal(b, &old) == nil {
		if *v = (Verified{OK: old == "ok"}); !v.OK {
			v.Why = parted(old)
		}
		return nil
	}
	var now struct {
		OK   bool
		Word reason.Word
		Text string
	}
	err := json.Unmarshal(b, &now)
	*v = Verified{now.OK, Why{now.Word, now.Text}}
	return err
}

// parted is a text of the history of before that may begin with a word.
func parted(s string) Why {
	word, text, _ := strings.Cut(s, ": ")
	if _, ok := reason.Of(reason.Word(word)); ok {
		return Why{reason.Word(word), text}
	}
	return Why{Text: s}
}

func whyOf(f *delivery.Failure) *Why {
	if f == nil {
		return nil
	}
	return &Why{f.Word, Clip(f.Text)}
}

// LastOf is what a last attempt failed by; nil: it is told by nothing else than the rest.
func LastOf(f delivery.Fact) *Why {
	if f == (delivery.Fact{}) {
		return nil
	}
	return &Why{f.Word, Clip(f.Text)}
}

func verified(v *delivery.Verification) *Verified {
	switch {
	case v == nil:
		return nil
	case v.Failure == nil:
		return &Verified{OK: true}
	}
	return &Verified{Why: Why{v.Failure.Word, Clip(v.Failure.Text)}}
}
