package people

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"waxwing/dns"
	"waxwing/internal/correspondents"
	"waxwing/internal/jmapserver/catalog"
	"waxwing/internal/jmapserver/email"
	"waxwing/internal/jmapserver/finding"
	"waxwing/internal/junk"
	"waxwing/internal/mailbox"
	"waxwing/internal/store"
	"waxwing/structure"
)

// circle is the people of an account, by address as package correspondents compares it.
type circle struct {
	mu     sync.Mutex
	people map[string]*person
	mails  uint64    // the modseq with which the newest mail came that was looked at
	listed time.Time // when the correspondents were read
}

// seen is a mail that is to be looked at.
type seen struct {
	id, received int64
	sent         bool // by the account
}

// refresh takes in what has come since the circle was asked about last.
func (r *Room) refresh(ctx context.Context, account string, k *circle) error {
	var mails []seen
	newest := k.mails
	err := r.Catalog.Look(ctx, account, func(_ *store.Tx, v *catalog.View) error {
		mails, newest = unseen(v, k.mails), v.Newest
		return nil
	})
	for some := range slices.Chunk(mails, 500) {
		if err == nil {
			err = r.look(ctx, k, some)
		}
	}
	if err != nil {
		return err
	}
	k.mails = newest
	if now := r.Now(); now.Sub(k.listed) >= listingTime || now.Before(k.listed) {
		list, err := r.Correspondents.List(ctx, account, maxPeople)
		if err != nil {
			return err
		}
		k.note(list)
		k.listed = now
	}
	return nil
}

// unseen are the mails that came after a modseq, the newest first: neither drafts nor what lies in Junk and Trash alone.
func unseen(v *catalog.View, since uint64) (out []seen) {
	if v.Newest <= since {
		return nil
	}
	for _, e := range v.Sorted() {
		if e.Created <= since || e.Flags()&mailbox.Draft != 0 {
			continue
		}
		counts, sent := use(v, e)
		if counts {
			out = append(out, seen{e.ID, e.Received, sent})
		}
		if len(out) == maxMails {
			break
		}
	}
	return out
}

// use says whether a mail lies anywhere but in Drafts, Junk and Trash, and whether it is one that was sent.
func use(v *catalog.View, e *finding.Email) (counts, sent bool) {
	for _, p := range e.Places {
		b := v.Box(p.Box)
		if b == nil || p.Flags&mailbox.Deleted != 0 {
			continue
		}
		switch b.Use {
		case mailbox.UseDrafts, mailbox.UseJunk, mailbox.UseTrash:
		case mailbox.UseSent:
			counts, sent = true, true
		default:
			counts = true
		}
	}
	return counts, sent
}

// look takes the people of some mails in.
func (r *Room) look(ctx context.Context, k *circle, some []seen) error {
	ids := make([]*finding.Email, len(some))
	for i := range some {
		ids[i] = &finding.Email{ID: some[i].id}
	}
	return r.Catalog.DB.Read(ctx, func(tx *store.Tx) error {
		built, err := catalog.Structures(tx, ids)
		if err != nil {
			return err
		}
		for _, s := range some {
			if m, err := structure.Decode(built[s.id]); err == nil { // else it is not known yet how it is built
				k.meet(s, &m.Envelope)
			}
		}
		return nil
	})
}

// meet takes in who stands in a mail. Of one that the account has sent, only to whom it went: it may have other names.
func (k *circle) meet(s seen, e *structure.Envelope) {
	left := maxPerMail
	each := func(list []structure.Address, from bool) {
		for _, a := range email.AddressesOf(list[:min(left, len(list))]) {
			left--
			name := ""
			if a.Name != nil {
				name = *a.Name
			}
			p := k.person(a.Email)
			if p == nil {
				continue
			}
			p.learn(name)
			p.last = max(p.last, s.received)
			switch {
			case s.sent:
				p.sent++
				p.writtenAt = later(p.writtenAt, store.FromTime(s.received))
			default:
				p.met++
				p.from = p.from || from
			}
		}
	}
	if !s.sent {
		each(e.From, true)
	}
	each(e.To, false)
	each(e.Cc, false)
	if s.sent {
		each(e.Bcc, false)
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// person is the one with an address; nil: it is none, or there are too many people.
func (k *circle) person(address string) *person {
	who, err := correspondents.Who(address)
	if err != nil || strings.HasPrefix(who, "@") {
		return nil
	}
	p := k.people[who]
	if p == nil && len(k.people) < maxPeople {
		p = &person{email: address}
		k.people[who] = p
	}
	return p
}

// note takes in what is remembered of those to whom the account has written, and of those it has marked.
func (k *circle) note(list []correspondents.Correspondent) {
	for _, c := range list {
		if c.Written.IsZero() && c.Mark != junk.MarkedJunk && k.people[c.Who] == nil {
			continue // a sender with no mail here: such as a robot whose mail is thrown away
		}
		p := k.person(readable(c.Who))
		if p == nil {
			continue
		}
		if p.words == nil {
			p.learn("")
		}
		p.received, p.writtenAt = c.Received, later(p.writtenAt, c.Written)
		p.junk = c.Mark == junk.MarkedJunk && !c.Written.After(c.Marked)
		if !c.Written.IsZero() {
			p.last = max(p.last, store.Time(c.Written))
		}
	}
}

// readable is an address with its domain as people write it.
func readable(who string) string {
	local, domain, _ := strings.Cut(who, "@")
	if n, err := dns.ParseName(domain); err == nil {
		return local + "@" + n.Unicode()
	}
	return who
}
