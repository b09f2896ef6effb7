package cli

import (
	"context"
	_ "embed"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// bashCompletion needs nothing but bash. It never evaluates what is typed or found.
//
//go:embed completion.bash
var bashCompletion string

// Completion writes the script that has a shell complete what is typed.
func Completion(root *cobra.Command, shell string, w io.Writer) error {
	switch shell {
	case "bash":
		_, err := io.WriteString(w, bashCompletion)
		return err
	case "zsh":
		return root.GenZshCompletion(w)
	case "fish":
		return root.GenFishCompletion(w, true)
	}
	return Usagef("%q is none of bash, zsh, fish", shell)
}

// MaxOffers is how much may be offered at most: somebody has pressed a key.
const MaxOffers = 200

// complete has a shell complete the arguments of a command, and its flags.
func (p *Program) complete(c *cobra.Command, u Use) {
	c.ValidArgsFunction = func(c *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		n := len(args)
		if u.Several {
			n = min(n, len(u.Words)-1)
		}
		if n >= len(u.Words) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		word := u.Words[n]
		return p.offer(c.Context(), typed, u.Name+" "+word, c.Parent().Name()+" "+word, word)
	}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		c.RegisterFlagCompletionFunc(f.Name, func(c *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
			return p.offer(c.Context(), typed, "--"+f.Name)
		})
	})
}

// offer is what may be typed in a place, by the first of its names that is known: an
// argument's in the use line, with its verb or noun before it or alone, or a flag's with
// its dashes. Where none is known, it may be a file.
func (p *Program) offer(ctx context.Context, typed string, places ...string) (out []string, _ cobra.ShellCompDirective) {
	p.findConfig()
	for _, place := range places {
		words, known := p.Offer(ctx, place)
		if !known {
			continue
		}
		slices.Sort(words)
		for _, w := range slices.Compact(words) {
			if w != "" && strings.HasPrefix(w, typed) && len(out) < MaxOffers {
				out = append(out, w)
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveDefault
}
