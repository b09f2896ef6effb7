package reason

import (
	"strings"
	"testing"
)

// Whatever is asked, there is one piece of advice, and names are put into it once.
func TestAdvise(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		cause   Cause
		names   Names
		meaning string
		cure    string
	}{
		{Cause{Word: STSWebPKI}, Names{"domain": "a.test"}, "policy host", "for the name mta-sts.a.test"},
		{Cause{Word: STSWebPKI}, nil, "policy host", "for the name mta-sts.DOMAIN"},
		{Cause{Word: MXSecure}, nil, "DNSSEC secures", ""},
		{Cause{Word: "what-others-say"}, nil, "", ""},
		{Cause{Result: "sts-policy-fetch-error"}, Names{"domain": "{host}.test"}, "could not be fetched", "https://mta-sts.{host}.test/"},
		{Cause{Result: "odd"}, nil, "does not define", "Look at"},
		{Cause{Subject: 2, Detail: 2}, nil, "The mailbox is full.", "made room"},
		{Cause{Subject: 2, Detail: 99}, nil, "cannot take the message", "again later"},
		{Cause{}, nil, "no clear reason", "again later"},
		{Cause{Unmet: true, Subject: 2, Detail: 2}, nil, "prove who they are", "TLS-Required: No"},
		{Cause{Tip: PortUnreachable, Word: ConnectTimeout}, Names{"host": "h.test", "port": "25"}, "", "h.test listens on port 25,"},
		{Cause{Tip: LoginNotAllowed}, Names{"offered": "", "allowed": "PLAIN"}, "", "the host offers , and --mechanisms allows only PLAIN"},
	} {
		a := Advise(tt.cause, tt.names)
		if !strings.Contains(a.Meaning, tt.meaning) || !strings.Contains(a.Cure, tt.cure) || tt.cure == "" && a.Cure != "" {
			t.Errorf("%+v: %+v", tt.cause, a)
		}
	}
}

// Every tip has a text whose names are of the set that callers give.
func TestTips(t *testing.T) {
	t.Parallel()
	known := Names{}
	for name := range strings.FieldsSeq("address allowed begin cure days detail domain host hosts id lines listed meaning mechanism name offered port record records reporters since time day transport user what") {
		known[name] = "x"
	}
	for tip, text := range tips {
		if got := fill(text, known); text == "" || strings.ContainsAny(got, "{}") || got == text && strings.Contains(text, "{") {
			t.Errorf("%s: %q", tip, text)
		}
		for _, name := range blank.FindAllString(text, -1) {
			if _, ok := known[strings.Trim(name, "{}")]; !ok {
				t.Errorf("%s: nobody gives %s", tip, name)
			}
		}
	}
	for w, a := range results {
		if a.Meaning == "" || a.Cure == "" || a.Who == Nobody {
			t.Errorf("%s: %+v", w, a)
		}
	}
}
