package dnsupdate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"waxwing/internal/dnsrecords"
	"waxwing/internal/foreign"
)

// Command hands changes to a program, as JSON on standard input. It has done all of
// them when it exits with 0.
type Command struct {
	Path string
	Args []string
}

// commandTime bounds one run.
const commandTime = 2 * time.Minute

// commandVersion is raised when the meaning of a member changes. New members come
// without that.
const commandVersion = 1

// request is what the program reads.
type request struct {
	Version int    `json:"version"`
	Zone    string `json:"zone"` // absolute, with its final dot
	Sets    []set  `json:"sets"`
}

// set is one record set as it shall be; without records it shall not be.
type set struct {
	Name    string   `json:"name"` // absolute, with its final dot
	Type    string   `json:"type"`
	TTL     int      `json:"ttl"`     // seconds
	Was     []string `json:"was"`     // what the zone's servers show now: data as in a zone file
	Records []string `json:"records"` // what there shall be, and nothing else; likewise
	Add     []string `json:"add"`     // of records, what was not there
	Delete  []string `json:"delete"`  // of was, what there shall not be
}

// newSet makes it.
func newSet(c Change) set {
	s := set{Name: c.Name.ASCII() + ".", Type: c.Type, TTL: c.TTL, Was: slices.Clone(c.present()), Records: c.wanted()}
	without := func(all, some []string) []string {
		out := []string{}
		for _, v := range all {
			if !slices.Contains(some, v) {
				out = append(out, v)
			}
		}
		return out
	}
	s.Add, s.Delete = without(s.Records, s.Was), without(s.Was, s.Records)
	return s
}

// Update runs the program once.
func (p *Command) Update(ctx context.Context, changes []Change) error {
	if len(changes) == 0 {
		return nil
	}
	if err := check(changes); err != nil {
		return err
	}
	ask := request{Version: commandVersion, Zone: changes[0].Zone.ASCII() + "."}
	for _, c := range changes {
		if c.Zone != changes[0].Zone {
			return errors.New("an update is of one zone")
		}
		ask.Sets = append(ask.Sets, newSet(c))
	}
	text, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	run := exec.CommandContext(ctx, p.Path, p.Args...)
	run.WaitDelay = 5 * time.Second
	run.Stdin = bytes.NewReader(text)
	var out bounded
	run.Stdout, run.Stderr = &out, &out
	if err := run.Run(); err != nil {
		return fmt.Errorf("the program %s: %w: %s", p.Path, err, foreign.Text(strings.TrimSpace(out.String()), 500))
	}
	return nil
}

func quoted(kind string, values []string) []string {
	out := make([]string, 0, len(values))
	for _, v := range values {
		if kind == "TXT" {
			v = dnsrecords.Quote(v)
		}
		out = append(out, v)
	}
	return out
}

// bounded keeps the beginning of what a program writes.
type bounded struct{ bytes.Buffer }

func (b *bounded) Write(p []byte) (int, error) {
	if room := 4096 - b.Len(); room > 0 {
		b.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
