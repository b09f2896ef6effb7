package self

import (
	"context"

	"github.com/spf13/cobra"

	"waxwing/internal/cli"
)

// completionVerb prints the script that has a shell complete what is typed.
func (p *program) completionVerb(build func(*cli.Program) *cobra.Command) cli.Verb {
	return cli.Verb{Use: "completion SHELL", Short: "the script that has bash, zsh or fish complete commands", Bare: true,
		Long:    "Domains, accounts, ids and so on come out of the store of the configuration that commands read.",
		Example: "completion bash > /etc/bash_completion.d/waxwing\ncompletion zsh > /usr/local/share/zsh/site-functions/_waxwing\ncompletion fish > ~/.config/fish/completions/waxwing.fish",
		Run: func(_ context.Context, args []string) error {
			return cli.Completion(build(&cli.Program{Env: p.Env}), args[0], p.Stdout)
		}}
}
