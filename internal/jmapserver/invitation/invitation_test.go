package invitation

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"waxwing/internal/delivery"
	"waxwing/internal/jmapserver/call"
	"waxwing/internal/jmapserver/email"
	"waxwing/jmap"
	"waxwing/structure"
)

const mail = "Subject: Lunch\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\nContent-Type: text/calendar; method=REQUEST; charset=iso-8859-1\r\n\r\n" +
	"BEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:Caf\xe9\r\nDTSTART:20261201T120000Z\r\nORGANIZER;CN=Ann:mailto:ann@a.test\r\nATTENDEE:mailto:You@b.test\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n--b--\r\n"

// world has that mail as E1 of you, and keeps what is made.
type world struct {
	made  string
	media string
}

func (w *world) Blob(_ context.Context, account string, id jmap.ID) (io.ReadCloser, string, error) {
	whole, number, part := strings.Cut(string(id), "-")
	if account != "you" || whole != "B1" {
		return nil, "", nil
	}
	if !part {
		return io.NopCloser(strings.NewReader(mail)), "message/rfc822", nil
	}
	built, err := structure.Parse(strings.NewReader(mail))
	if err != nil {
		return nil, "", err
	}
	body, _, err := (&email.Message{Built: built, Content: delivery.Bytes(mail)}).Open(number)
	return body, "", err
}

func (w *world) Put(_ context.Context, _, mediaType string, c delivery.Content) (int64, error) {
	r, err := c.Open()
	if err != nil {
		return 0, err
	}
	b, err := io.ReadAll(r)
	w.made, w.media = string(b), mediaType
	return 7, err
}

// MAIL-2: an invitation is told with whom it invites, and answered by them alone.
func TestInvitation(t *testing.T) {
	t.Parallel()
	w := &world{}
	own := []string{"other@b.test", "you@b.test"}
	r := &Room{Mails: w, Uploads: w, Now: func() time.Time { return time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC) }, Own: func(*call.Call) ([]string, error) { return own, nil }}
	ask := func(account, name, args string) string {
		var a call.Args
		if err := json.Unmarshal([]byte(args), &a); err != nil {
			t.Fatal(err)
		}
		got, fault := r.Served().Methods[name](&call.Call{Ctx: t.Context(), Name: account, ID: "a", Log: slog.New(slog.DiscardHandler)}, a)
		if fault != nil {
			return fault.Type + ": " + fault.Description
		}
		b, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if got := ask("you", "Invitation/get", `{"ids": ["E1", "E2", "x"]}`); !strings.Contains(got, `"method":"REQUEST"`) || !strings.Contains(got, `"summary":"Café"`) || !strings.Contains(got, `"as":"you@b.test"`) || !strings.Contains(got, `"notFound":["E2","x"]`) {
		t.Error(got)
	}
	if got := ask("eve", "Invitation/get", `{"ids": ["E1"]}`); !strings.Contains(got, `"list":[]`) {
		t.Errorf("another account's mail: %s", got)
	}
	if got := ask("you", "Invitation/reply", `{"emailId": "E1", "status": "accepted", "comment": "gladly"}`); !strings.Contains(got, `"blobId":"U7"`) || !strings.Contains(got, `"from":"you@b.test"`) || !strings.Contains(got, `"to":{"email":"ann@a.test","name":"Ann"}`) {
		t.Error(got)
	}
	if !strings.Contains(w.made, "METHOD:REPLY") || !strings.Contains(w.made, "ATTENDEE;PARTSTAT=ACCEPTED:mailto:You@b.test") || !strings.Contains(w.made, "COMMENT:gladly") || w.media != "text/calendar" {
		t.Errorf("%s: %s", w.media, w.made)
	}
	for args, want := range map[string]string{
		`{"emailId": "E1", "status": "maybe"}`:                                                            "accepted, tentative or declined",
		`{"emailId": "E2", "status": "accepted"}`:                                                         "no invitation",
		`{"emailId": "E1", "status": "accepted", "comment": "` + strings.Repeat("x", maxComment+1) + `"}`: "1000 octets",
	} {
		if got := ask("you", "Invitation/reply", args); !strings.Contains(got, want) {
			t.Errorf("%s: %s", args, got)
		}
	}
	own = own[:1]
	if got := ask("you", "Invitation/get", `{"ids": ["E1"]}`); !strings.Contains(got, `"as":null`) {
		t.Error(got)
	}
	if got := ask("you", "Invitation/reply", `{"emailId": "E1", "status": "accepted"}`); !strings.Contains(got, "does not name") {
		t.Error(got)
	}
}
