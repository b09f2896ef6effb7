package begin

import (
	"context"

	"github.com/spf13/pflag"

	"waxwing/internal/cli"
	"waxwing/internal/explain"
	"waxwing/internal/server"
	"waxwing/internal/upkeep"
)

// explainVerb says what would happen to a mail. It uses the store for what is
// cached of MTA-STS and was seen before, and needs no running server.
func (p *program) explainVerb() cli.Verb {
	var x explain.Asked
	return cli.Verb{Use: "explain ADDRESS|DOMAIN [FLAGS]", Short: "say what would happen to a mail, and why", JSON: true,
		Example: "explain someone@example.net\nexplain --connect example.net", Flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&x.NeedText, "need", "follow-policy", "`what` the sender asks of TLS: follow-policy, require-tls, tls-optional")
			fs.BoolVar(&x.Connect, "connect", false, "connect to every host, look at its certificate and extensions, and send nothing")
			fs.BoolVar(&x.DNSSEC, "dnssec", false, "show the chain of trust of each lookup, as Waxwing proves it itself")
			fs.StringVar(&x.From, "from", "", "explain a mail from this `address`, where routes look at that")
		}, Run: func(ctx context.Context, args []string) error {
			if err := x.Read(args[0]); err != nil {
				return err
			}
			return p.WithStore(ctx, func(o *upkeep.Opened) error { return p.explain(ctx, o, &x) })
		}}
}

func (p *program) explain(ctx context.Context, o *upkeep.Opened, x *explain.Asked) error {
	h, err := explain.AskHosted(ctx, o.Accounts, x.Domain, x.Local, x.Text)
	if err != nil {
		return err
	}
	if h.Hosted {
		return p.Answer(h, "%s", h.Summary)
	}
	room, err := server.Explainer(o.Options, o.Store)
	if err != nil {
		return err
	}
	answer, err := room.Asked(ctx, o.Accounts, x)
	if err != nil {
		return err
	}
	return p.Prose(answer, answer.Print)
}
