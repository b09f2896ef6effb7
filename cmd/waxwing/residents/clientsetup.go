package residents

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/pflag"

	"waxwing/clientconfig"
	"waxwing/internal/cli"
	"waxwing/internal/delivery"
	"waxwing/internal/server"
	"waxwing/internal/text"
	"waxwing/internal/upkeep"
	"waxwing/smtp"
)

// clientSetup is one call of "account client-setup".
type clientSetup struct {
	profile string // file for Apple's profile
	qr      bool
}

// shownSetup is the settings for one address, as they are shown.
type shownSetup struct {
	Address string `json:"address"`
	User    string `json:"user"` // the name to log in with
	clientconfig.Settings
	Profile string `json:"profile_url,omitempty"`
}

// clientSetupVerb shows how a mail program is set up (CLI-1).
func (p *program) clientSetupVerb() cli.Verb {
	var c clientSetup
	return cli.Verb{Use: "client-setup ADDRESS", Short: "servers, ports and names for mail programs; also as a profile and a QR code", JSON: true,
		Long: "Thunderbird, Outlook and others find all of this by themselves once the records of \"waxwing dns records\" are published. " +
			"For iPhone, iPad and Mac there is a profile: --mobileconfig writes it, --qr shows where the server has it.",
		Example: "account client-setup joe@example.org\naccount client-setup joe@example.org --mobileconfig joe.mobileconfig\naccount client-setup joe@example.org --qr",
		Flags: func(fs *pflag.FlagSet) {
			fs.StringVar(&c.profile, "mobileconfig", "", "write Apple's profile to this `file`, signed where the host has a certificate of an authority; - is standard output")
			fs.BoolVar(&c.qr, "qr", false, "show the address of the profile as a QR code, for a phone's camera")
		},
		Run: func(ctx context.Context, args []string) error {
			address, domain, err := cli.ParseAddress(args[0])
			if err != nil {
				return err
			}
			return p.WithStore(ctx, func(o *upkeep.Opened) error { return p.setUpClient(ctx, o, address, domain, c) })
		}}
}

func (p *program) setUpClient(ctx context.Context, o *upkeep.Opened, address smtp.Address, domain delivery.RecipientDomain, c clientSetup) error {
	to, err := o.Accounts.Resolve(ctx, address.Local, domain.Name)
	if err != nil {
		return fmt.Errorf("%s: %w", address, err)
	}
	if to.Account == "" {
		return fmt.Errorf("%s is an alias: nobody logs in with it", address)
	}
	s, _, err := server.ClientSettings(ctx, o.Config, o.Accounts, domain.Name)
	if err != nil {
		return err
	}
	who := smtp.Address{Local: address.Local, Domain: domain.Name.ASCII()}.String()
	shown := shownSetup{Address: who, User: who, Settings: s}
	if s.Complete() {
		shown.Profile = clientconfig.ProfileURL(s, who)
	}
	switch {
	case c.profile != "":
		return p.writeProfile(ctx, o, s, who, c.profile)
	case c.qr:
		return p.showQR(shown)
	case p.JSON:
		return p.PrintJSON(shown)
	}
	return p.printSetup(shown)
}

// errIncomplete says why no program can be set up whole.
func errIncomplete(s clientconfig.Settings) error {
	return fmt.Errorf("mail of %s can be read or sent here by no program: listeners of kind imaps and submissions are needed, and mailboxes that are kept here", s.Domain)
}

func (p *program) writeProfile(ctx context.Context, o *upkeep.Opened, s clientconfig.Settings, who, path string) error {
	if !s.Complete() {
		return errIncomplete(s)
	}
	sign, err := server.ProfileSigner(ctx, o.Options, o.Store)
	if err != nil {
		return err
	}
	plain := clientconfig.Profile(s, who)
	signed, err := sign(plain)
	if err != nil {
		return err
	}
	if path == "-" {
		_, err := p.Stdout.Write(signed)
		return err
	}
	if err := os.WriteFile(path, signed, 0o644); err != nil {
		return err
	}
	how := "signed with the host's certificate"
	if string(signed) == string(plain) {
		how = "not signed: the host has no certificate of an authority"
	}
	return p.Answer(map[string]any{"file": path, "signed": string(signed) != string(plain)}, "%s is written, %s", path, how)
}

func (p *program) showQR(s shownSetup) error {
	if s.Profile == "" {
		return fmt.Errorf("the profile is served by no listener of kind https, or there is none to serve: --mobileconfig writes it to a file")
	}
	code, err := cli.QR(s.Profile, p.Terminal.Colour)
	if err != nil {
		return err
	}
	return p.Answer(map[string]string{"profile_url": s.Profile, "qr": code}, "%s%s", code, s.Profile)
}

// printSetup is the settings for people.
func (p *program) printSetup(s shownSetup) error {
	list := text.List[clientconfig.Server]{Columns: text.Columns("FOR|SERVER|PORT|SECURITY|USER NAME"), Cells: func(x *clientconfig.Server) []any {
		return []any{clientconfig.Use(x.Protocol), x.Host, x.Port, x.Security(), s.User}
	}}
	if err := cli.Show(p.Program, s.Servers, list); err != nil {
		return err
	}
	return p.Prose(nil, func(w io.Writer) {
		fmt.Fprintln(w)
		switch {
		case !s.Complete():
			fmt.Fprintln(w, errIncomplete(s.Settings))
			return
		case s.Local:
			fmt.Fprintln(w, "These servers are reached from this machine alone.")
		}
		fmt.Fprintln(w, "The password is the account's, or better one for this program alone: \"waxwing account app-password add\".")
		if s.Profile != "" {
			fmt.Fprintf(w, "iPhone, iPad, Mac: %s (--qr shows it for a camera, --mobileconfig writes it)\n", s.Profile)
		}
	})
}
