package api

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"

	"waxwing/internal/delivery"
	"waxwing/internal/listing"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
	"waxwing/internal/spool"
	"waxwing/internal/suppression"
	"waxwing/message"
)

// Messages are messages that the account has handed in, newest first.
type Messages struct {
	Messages []spool.Summary `json:"messages"`
	Next     string          `json:"next,omitempty" doc:"What to give as before for the next page; absent on the last."`
}

// Suppressions are recipients that the account sends no more to.
type Suppressions struct {
	Suppressions []suppression.Entry `json:"suppressions"`
	Next         string              `json:"next,omitempty" doc:"What to give as after for the next page; absent on the last."`
}

// Mail is what lies in a mailbox, newest first.
type Mail struct {
	Mail []mailboxes.Row `json:"mail"`
	Next string          `json:"next,omitempty" doc:"What to give as before for the next page; absent on the last."`
}

// MailHeader is one message of a mailbox with its header.
type MailHeader struct {
	mailboxes.Row
	Header []HeaderField `json:"header" doc:"The header fields in their order, unfolded and as they were sent."`
}

const (
	pageMessages     = 100
	pageSuppressions = 1000
	pageMail         = 1000
)

func (h *Handler) listMessages(w http.ResponseWriter, c caller) error {
	limit, err := c.page(pageMessages)
	if err != nil {
		return err
	}
	before, err := idIn("before", c.r.URL.Query().Get("before"))
	if err != nil {
		return err
	}
	all, err := spool.Newest(c.r.Context(), h.Store, c.Account, int64(before), limit)
	if err != nil {
		return err
	}
	out := Messages{Messages: slices.Concat([]spool.Summary{}, all)}
	if len(all) == limit {
		out.Next = all[limit-1].ID.String()
	}
	return answer(w, http.StatusOK, out)
}

// showMessage tells a message's whole life, as "mail trace" does, to whom it belongs.
func (h *Handler) showMessage(w http.ResponseWriter, c caller) error {
	id, err := idIn("id", c.r.PathValue("id"))
	if err != nil {
		return err
	}
	t, err := listing.TravelOf(c.r.Context(), h.Store, int64(id), h.Became)
	if errors.Is(err, spool.ErrNoSuchMessage) || err == nil && t.Account != c.Account {
		return problem(notFound, "no message "+id.String()+" of this account is known; settled ones are kept for delivery.history")
	}
	if err != nil {
		return err
	}
	// Where others have their copies is not the sender's to know.
	t.Copies = slices.DeleteFunc(t.Copies, func(p listing.Place) bool { return p.Account != c.Account })
	return answer(w, http.StatusOK, t)
}

func (h *Handler) listSuppressions(w http.ResponseWriter, c caller) error {
	limit, err := c.page(pageSuppressions)
	if err != nil {
		return err
	}
	after := suppression.Entry{Account: c.Account, Address: c.r.URL.Query().Get("after")}
	all, err := h.Suppressions.List(c.r.Context(), c.Account, after, limit)
	if err != nil {
		return err
	}
	out := Suppressions{Suppressions: slices.Concat([]suppression.Entry{}, all)}
	if len(all) == limit {
		out.Next = all[limit-1].Address
	}
	return answer(w, http.StatusOK, out)
}

func (h *Handler) removeSuppression(w http.ResponseWriter, c caller) error {
	address := c.r.PathValue("address")
	err := h.Suppressions.Remove(c.r.Context(), c.Account, address)
	if errors.Is(err, suppression.ErrNotFound) {
		return problem(notFound, "the account's list of suppressed recipients does not have "+address)
	}
	if err != nil {
		return err
	}
	h.Log.Info("suppression removed by API", "account", c.Account, "recipient", address)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *Handler) listMail(w http.ResponseWriter, c caller) error {
	limit, err := c.page(pageMail)
	if err != nil {
		return err
	}
	q := c.r.URL.Query()
	before, err := idIn("before", q.Get("before"))
	if err != nil {
		return err
	}
	all, err := h.Mailboxes.Rows(c.r.Context(), c.Account, q.Get("mailbox"), int64(before), limit)
	if err != nil {
		return err
	}
	out := Mail{Mail: slices.Concat([]mailboxes.Row{}, all)}
	if len(all) == limit {
		out.Next = all[limit-1].ID.String()
	}
	return answer(w, http.StatusOK, out)
}

// open finds a message in the account's mailboxes, by the id of the copy or of the message.
func (h *Handler) open(c caller) (delivery.Content, mailbox.Message, error) {
	ctx := c.r.Context()
	id, err := idIn("id", c.r.PathValue("id"))
	if err != nil {
		return nil, mailbox.Message{}, err
	}
	content, m, err := h.Mailboxes.Open(ctx, int64(id))
	if errors.Is(err, mailboxes.ErrNoSuchMessage) {
		places, perr := listing.Places(ctx, h.Store, int64(id))
		if perr != nil {
			return nil, m, perr
		}
		if i := slices.IndexFunc(places, func(p listing.Place) bool { return p.Account == c.Account }); i >= 0 {
			content, m, err = h.Mailboxes.Open(ctx, int64(places[i].ID))
		}
	}
	if errors.Is(err, mailboxes.ErrNoSuchMessage) || err == nil && m.Account != c.Account {
		return nil, mailbox.Message{}, problem(notFound, "no message "+id.String()+" lies in this account's mailboxes")
	}
	return content, m, err
}

func (h *Handler) showMail(w http.ResponseWriter, c caller) error {
	content, m, err := h.open(c)
	if err != nil {
		return err
	}
	body, err := content.Open()
	if err != nil {
		return err
	}
	defer body.Close()
	out := MailHeader{Row: mailboxes.RowOf(m), Header: []HeaderField{}}
	// What ends the header before its time is shown by what stands before it.
	header, err := message.ReadHeader(bufio.NewReader(body), message.MaxHeader)
	var syntax *message.SyntaxError
	if err != nil && !errors.As(err, &syntax) && !errors.Is(err, message.ErrTooManyFields) && !errors.Is(err, io.EOF) {
		return err
	}
	for _, f := range header.Fields {
		out.Header = append(out.Header, HeaderField{f.Name, f.Value()})
	}
	return answer(w, http.StatusOK, out)
}

func (h *Handler) rawMail(w http.ResponseWriter, c caller) error {
	content, _, err := h.open(c)
	if err != nil {
		return err
	}
	body, err := content.Open()
	if err != nil {
		return err
	}
	defer body.Close()
	w.Header().Set("Content-Type", "message/rfc822")
	w.Header().Set("Content-Length", strconv.FormatInt(content.Size(), 10))
	// Less than the length that was told does not look like a whole message.
	if _, err := io.Copy(w, body); err != nil {
		h.Log.Warn("message not read to its end by API", "account", c.Account, "error", err)
	}
	return nil
}

func (h *Handler) showKey(w http.ResponseWriter, c caller) error {
	return answer(w, http.StatusOK, c.Key)
}
