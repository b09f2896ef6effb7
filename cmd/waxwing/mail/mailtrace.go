package mail

import (
	"context"
	"fmt"
	"io"

	"waxwing/internal/cli"
	"waxwing/internal/listing"
	"waxwing/internal/server"
	"waxwing/internal/upkeep"
)

// traceVerb tells the whole life of messages (OPS-5).
func (p *program) traceVerb() cli.Verb {
	return cli.Verb{Use: "trace ID|ADDRESS|MESSAGE-ID", Short: "a message's whole life: proof of how it travelled", JSON: true,
		Long: "The id is that of the log, of the queue, or of a copy in a mailbox. Who handed it in, every attempt with its decision, what was verified and what the hosts said, where its copies lie, and what was reported " +
			"about its TLS sessions. With an address, or what stands in the Message-ID field (with or without <>): the newest 20 messages from it or to it, or with that field. Settled messages are known for as long as delivery.history says.",
		Example: "mail trace 1x5kpe929aww\nmail trace joe@example.org\nmail trace '<18f2c7.1@mail.example.org>'",
		Run:     p.OnStore(p.traceMail)}
}

func (p *program) traceMail(ctx context.Context, o *upkeep.Opened, args []string) error {
	ids, more, err := listing.Traced(ctx, o.Store, args[0])
	if err != nil {
		return err
	}
	if more {
		fmt.Fprintf(p.Stderr, "there are more messages than %d: only the newest are told of\n", len(ids))
	}
	r, err := server.Reports(o.Options, o.Store)
	if err != nil {
		return err
	}
	all := []listing.Travel{}
	for _, id := range ids {
		t, err := listing.TravelOf(ctx, o.Store, id, r.TLSReport.Became)
		if err != nil {
			return err
		}
		all = append(all, t)
	}
	return p.Prose(all, func(w io.Writer) {
		for i := range all {
			if i > 0 {
				fmt.Fprint(w, "\n\n")
			}
			all[i].Print(w)
		}
	})
}
