// Package interest decides what a client that has asked for notifications hears of (RFC 5465).
package interest

import (
	"slices"
	"strings"

	"waxwing/imap"
	"waxwing/internal/mailbox"
)

// Groups are the event groups of a NOTIFY SET.
type Groups []imap.NotifyGroup

// Events are those that can be told of.
func Events() []string {
	return []string{"MessageNew", "MessageExpunge", "FlagChange", "MailboxName", "SubscriptionChange"}
}

// Fault says what is wrong with groups; unknown: they have events that cannot be told of.
func Fault(groups []imap.NotifyGroup) (unknown bool, why string) {
	for _, g := range groups {
		if slices.ContainsFunc(g.Events, func(e string) bool { return !slices.Contains(Events(), e) }) {
			return true, ""
		}
		has := func(e string) bool { return slices.Contains(g.Events, e) }
		if has("MessageNew") != has("MessageExpunge") || has("FlagChange") && !has("MessageNew") { // RFC 5465 §5
			return false, "MessageNew and MessageExpunge come together, and FlagChange with them"
		}
	}
	return false, ""
}

// Status is what is told of a mailbox (RFC 5465 §5.2, §5.3).
func Status(events []string) []string {
	items := []string{"MESSAGES", "UIDNEXT", "UIDVALIDITY"}
	if slices.Contains(events, "FlagChange") {
		items = append(items, "HIGHESTMODSEQ")
	}
	return items
}

// Events are those that the client wants to hear of a mailbox: the first group that
// names it decides (RFC 5465 §6).
func (n Groups) Events(b mailbox.Box) []string {
	for _, g := range n {
		if named(g, b) {
			return g.Events
		}
	}
	return nil
}

// named reports that a group is about a mailbox.
func named(g imap.NotifyGroup, b mailbox.Box) bool {
	switch g.Filter {
	case "INBOXES":
		return b.Name == mailbox.Inbox
	case "PERSONAL":
		return true
	case "SUBSCRIBED":
		return b.Subscribed
	case "SUBTREE":
		return slices.ContainsFunc(g.Mailboxes, func(m string) bool { return b.Name == m || strings.HasPrefix(b.Name, m+"/") })
	case "MAILBOXES":
		return slices.Contains(g.Mailboxes, b.Name)
	}
	return false // SELECTED
}

// Selected is the group for the selected mailbox; nil: none.
func (n Groups) Selected() *imap.NotifyGroup {
	for i, g := range n {
		if g.Filter == "SELECTED" || g.Filter == "SELECTED-DELAYED" {
			return &n[i]
		}
	}
	return nil
}
