// Package evidence gathers, for each account that a message is for, the facts on which package
// junk decides (JNK-1): who sent it and what the account has had to do with them, the host that
// hands it in, and what words and filters say.
package evidence

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"

	"waxwing/dns"
	"waxwing/internal/bayes"
	"waxwing/internal/blocklist"
	"waxwing/internal/classifier"
	"waxwing/internal/config"
	"waxwing/internal/correspondents"
	"waxwing/internal/junk"
	"waxwing/internal/reason"
	"waxwing/internal/rspamd"
	"waxwing/internal/store"
	"waxwing/internal/verify"
	"waxwing/message"
)

// Room gathers evidence. Its fields are not changed once it is in use; it is safe for
// concurrent use.
type Room struct {
	DB             *store.Store
	Correspondents *correspondents.Store
	Classifier     *classifier.Store
	Lists          *blocklist.Lists // asked about the client, from MAIL on
	Limits         junk.Limits
	Rspamd         *rspamd.Client // nil: none is asked
	OnSilence      config.OnFailure
	Greylist       bool // mail is put off where Rspamd says so
	// Asked is told of each answer of a filter: answered, silent, too-large; nil: nobody is.
	Asked    func(filter, result string)
	Log      *slog.Logger // nil: discard
	Hostname dns.Name     // this server's, which no client has
	// Decided is told of each decision; nil: nobody is.
	Decided func(d junk.Decision)
}

// Message is one that was verified and may be taken.
type Message struct {
	Facts    *verify.Facts
	Header   message.Header
	Whole    []byte
	Accounts []string // of its recipients, each once
	Others   bool     // it is also for some who are none of Accounts: elsewhere, or too many
	Listed   []junk.Listing
	Milters  []junk.Milter // what they came to
	// Required is why the decision on who sent the message puts it into Junk, of each account for
	// which it does: some may trust who sent it where others do not.
	Required map[string]reason.Word
	ID       string
	Sender   string // the reverse-path
	To       []string
}

// Weighed is what was decided about a message: of each of its accounts, and under "" of all others.
type Weighed struct {
	Decisions map[string]junk.Decision
	who       string // as Sender has it
}

// Weigh decides what becomes of a message in each of its accounts. A *PutOff says that it is to
// be tried again later. Once the message is taken, Taken is to be told.
func (r *Room) Weigh(ctx context.Context, m Message) (Weighed, error) {
	common := junk.Facts{Lists: m.Listed, Milters: m.Milters, BadHELO: badHELO(m.Facts.HELO, m.Facts.IP, r.Hostname)}
	common.NoReverseName = m.Facts.IPRev.Result == "fail" || m.Facts.IPRev.Result == "permerror"
	if err := r.filters(ctx, m, &common); err != nil {
		return Weighed{}, err
	}
	who := Sender(m.Facts, m.Header)
	memories, err := r.remembered(ctx, m.Accounts, who)
	if err != nil {
		return Weighed{}, err
	}
	var words []bayes.Word
	// Most accounts have not taught enough, and reading the words costs more than verifying who sent
	// the message.
	if slices.ContainsFunc(memories, func(m memory) bool { return m.taught.Trained() }) {
		words = bayes.Words(m.Whole[:min(len(m.Whole), maxTaught)])
	}
	out := Weighed{Decisions: map[string]junk.Decision{}, who: who}
	for i, account := range m.Accounts {
		f := common
		f.Required, f.Authenticated, f.History = m.Required[account], who != "", memories[i].history
		if f.Words, err = r.Classifier.Score(ctx, account, memories[i].taught, words); err != nil {
			return Weighed{}, err
		}
		out.Decisions[account] = r.decided(f)
	}
	if m.Others {
		f := common
		f.Required, f.Authenticated, f.Nobody = m.Required[""], who != "", true
		out.Decisions[""] = r.decided(f)
	}
	return out, nil
}

func (r *Room) decided(f junk.Facts) junk.Decision {
	d := junk.Decide(f, r.Limits)
	if r.Decided != nil {
		r.Decided(d)
	}
	return d
}

// Taken notes that the accounts which have the message in their inbox have heard from its sender.
// Of one that was refused in the end, nobody has heard.
func (r *Room) Taken(w Weighed) {
	for account, d := range w.Decisions {
		if d.Action == junk.Inbox && w.who != "" && account != "" {
			r.Correspondents.Received(account, w.who)
		}
	}
}

// memory is what an account remembers.
type memory struct {
	history junk.History // of the sender; zero where nobody vouches for one
	taught  classifier.Model
}

// remembered looks the accounts' memories up, all in one transaction, by two statements however many they are.
func (r *Room) remembered(ctx context.Context, accounts []string, who string) ([]memory, error) {
	if len(accounts) == 0 {
		return nil, nil
	}
	return store.Read(ctx, r.DB, func(tx *store.Tx) ([]memory, error) {
		tx.Brief()
		var histories map[string]junk.History
		var err error
		if who != "" {
			if histories, err = correspondents.Histories(tx, accounts, who); err != nil {
				return nil, err
			}
		}
		taught, err := classifier.Taught(tx, accounts...)
		if err != nil {
			return nil, fmt.Errorf("what accounts have taught: %w", err)
		}
		all := make([]memory, len(accounts))
		for i, account := range accounts {
			all[i] = memory{histories[account], taught[account]}
		}
		return all, nil
	})
}

// Sender is the address that the message is from, as correspondents has it, where a domain
// vouches for it: the author, or else the envelope sender for whose domain SPF passes. ""
// where nobody vouches for either.
func Sender(f *verify.Facts, h message.Header) string {
	vouched := f.Authenticated()
	if authors, err := message.From(h); err == nil && len(authors) == 1 {
		who, err := correspondents.Who(authors[0].Addr())
		if err == nil && (aligned(f) || in(vouched, who)) {
			return who
		}
	}
	if who, err := correspondents.Who(f.Sender); err == nil && in(f.SPFPassed(), who) {
		return who
	}
	return ""
}

// aligned is whether DMARC finds the author's domain authenticated, whatever its policy says.
func aligned(f *verify.Facts) bool {
	return len(f.DMARC) == 1 && (f.DMARC[0].AlignedSPF || len(f.DMARC[0].AlignedDKIM) > 0)
}

func in(domains []dns.Name, who string) bool {
	return slices.ContainsFunc(domains, func(d dns.Name) bool { return "@"+d.ASCII() == correspondents.Domain(who) })
}

// badHELO is whether a client greets with what cannot be its name (RFC 5321 §4.1.1.1): a
// single word, another's address, or the name of this server.
func badHELO(helo string, ip netip.Addr, own dns.Name) bool {
	if literal, ok := strings.CutPrefix(helo, "["); ok {
		a, err := netip.ParseAddr(strings.TrimPrefix(strings.TrimSuffix(literal, "]"), "IPv6:"))
		return err != nil || a.Unmap() != ip.Unmap()
	}
	n, err := dns.ParseName(helo)
	if err != nil || !strings.Contains(n.ASCII(), ".") {
		return true
	}
	_, err = netip.ParseAddr(helo)
	return err == nil || n == own && !ip.IsLoopback()
}
