package mail

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"waxwing/cmd/waxwing/command"
	"waxwing/internal/apikeys"
	"waxwing/internal/cli"
	"waxwing/internal/delivery"
	"waxwing/internal/upkeep"
	"waxwing/internal/web/api"
)

// apiNoun is what stands around the HTTP API (OPS-8).
func (p *program) apiNoun() *cobra.Command {
	c := p.Noun("api", "the HTTP API for programs",
		cli.Verb{Use: "openapi", Short: "the API's description, as OpenAPI 3.1", Bare: true, Run: func(context.Context, []string) error {
			text, err := api.JSON(p.Version)
			if err == nil {
				_, err = p.Stdout.Write(text)
			}
			return err
		}})
	c.AddCommand(p.apiKeyNoun())
	return c
}

// apiKeyFlags are those of "api key add".
type apiKeyFlags struct {
	account, domain, note string
	rights                []string
	expires               time.Time
}

func (f *apiKeyFlags) flags(fs *pflag.FlagSet) {
	fs.StringVar(&f.account, "account", "", "whose mail the key is about: the `name` of an account")
	fs.StringSliceVar(&f.rights, "right", nil, "a `right`, one of "+apikeys.Rights(apikeys.All()).String()+"; may be repeated")
	fs.StringVar(&f.domain, "domain", "", "it sends only from addresses of this `domain`")
	fs.Var((*cli.Day)(&f.expires), "expires", "UTC `day` at whose beginning it ends, such as 2027-01-31; without, it never does")
	fs.StringVar(&f.note, "note", "", "`what` it is for")
}

// apiKeyNoun keeps the keys of programs.
func (p *program) apiKeyNoun() *cobra.Command {
	var add apiKeyFlags
	var account string
	return p.Noun("key", "keys with which programs use the API",
		cli.Verb{Use: "add --account NAME --right RIGHT", Short: "make a key, which is shown this once", JSON: true,
			Long: "The rights are: send (hand in mail of the account), read (what became of its mail, and its suppressed recipients), suppressions (change these), mail (read what lies in its mailboxes). " +
				"The key stands on standard output and nowhere else: Waxwing keeps no more of it than a hash.",
			Example: "api key add --account shop --right send --right read\napi key add --account shop --right send --domain example.org --expires 2027-01-31",
			Flags:   add.flags, Run: func(ctx context.Context, _ []string) error { return p.addAPIKey(ctx, add) }},
		cli.Verb{Use: "list", Short: "the keys, what each may do and when it was used", JSON: true,
			Flags: func(fs *pflag.FlagSet) {
				fs.StringVar(&account, "account", "", "only keys of this account, by its `name`")
			},
			Run: command.List(p.Call, p.OnStore, func(ctx context.Context, o *upkeep.Opened, _ []string) ([]apikeys.Key, error) {
				return apiKeys(o).List(ctx, account)
			}, apikeys.Listing())},
		cli.Verb{Use: "remove ID", Short: "end a key, at once", Run: command.OnOne(p.Call, cli.IDOf("waxwing api key list"), func(ctx context.Context, o *upkeep.Opened, id delivery.ID) error {
			return apiKeys(o).Remove(ctx, id)
		})})
}

func apiKeys(o *upkeep.Opened) *apikeys.Store { return &apikeys.Store{DB: o.Store, Now: o.Options.Now} }

// addedKey is a new key with what is shown of it once.
type addedKey struct {
	apikeys.Key
	Token string `json:"key"`
}

func (p *program) addAPIKey(ctx context.Context, f apiKeyFlags) error {
	if f.account == "" {
		return cli.Usagef("--account says whose mail the key is about")
	}
	rights, err := apikeys.ParseRights(f.rights)
	if err != nil {
		return cli.FlagError("right", err)
	}
	if f.domain != "" {
		if _, err := cli.ParseDomain(f.domain); err != nil {
			return cli.FlagError("domain", err)
		}
	}
	return p.WithStore(ctx, func(o *upkeep.Opened) error {
		if err := o.Accounts.MustExist(ctx, f.account); err != nil {
			return err
		}
		k, token, err := apiKeys(o).Add(ctx, apikeys.Key{Account: f.account, Rights: rights, Domain: f.domain, Note: f.note, Expires: f.expires})
		if err != nil {
			return err
		}
		return p.Answer(addedKey{k, token.Text()}, "%s", token.Text())
	})
}
