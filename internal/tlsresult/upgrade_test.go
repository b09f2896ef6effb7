package tlsresult

import (
	"testing"

	"waxwing/internal/store"
	"waxwing/internal/store/storetest"
)

// A failure of before, whose extended DNS error stood in front of its text, is reported
// after the upgrade in the same words (RPT-23); what only looks like it stays a text.
func TestUpgradeOfExtendedErrors(t *testing.T) {
	t.Parallel()
	storetest.Upgrade(t, "00081", upgradeExtended)
}

func upgradeExtended(t *testing.T, old *store.Store, upgrade func() *store.Store) {
	cases := []struct {
		info     string
		ede      uint16
		text     string
		reported string
	}{
		{"ede-6: no: keys", 6, "no: keys", "dns-bogus ede-6: no: keys"},
		{"ede-22: ", 22, "", "dns-bogus ede-22"},
		{"ede-123: x", 123, "x", "dns-bogus ede-123: x"},
		{"ede-1234: x", 1234, "x", "dns-bogus ede-1234: x"},
		{"ede-65535: x", 65535, "x", "dns-bogus ede-65535: x"},
		{"ede-65536: x", 0, "ede-65536: x", "dns-bogus: ede-65536: x"},
		{"ede-x: x", 0, "ede-x: x", "dns-bogus: ede-x: x"},
		{"ede-6 x", 0, "ede-6 x", "dns-bogus: ede-6 x"},
		{"no keys", 0, "no keys", "dns-bogus: no keys"},
		{"", 0, "", "dns-bogus"},
	}
	err := old.Write(t.Context(), func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO tls_rows (day, id, shard, domain, type, policy_domain, strings, mx, ok, ok_mail, failed, details)
			VALUES (9, 'r', 0, 'a.test', 'sts', 'a.test', '[]', '[]', 0, 0, ?, ?)`, len(cases), len(cases))
		for i, c := range cases {
			if err == nil {
				_, err = tx.Exec(`INSERT INTO tls_details (day, id, shard, detail, type, sending_ip, mx_host, helo, receiver_ip, reason, info, sessions)
					VALUES (9, 'r', 0, ?, 'sts-policy-fetch-error', '', '', '', '', 'dns-bogus', ?, 1)`, string(rune('a'+i)), c.info)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	got := rows(t, upgrade(), 9, Filter{})
	if len(got) != 1 || len(got[0].Details) != len(cases) {
		t.Fatalf("%+v", got)
	}
	p := got[0].Policy()
	for i, c := range cases {
		if d := got[0].Details[i]; d.EDE != c.ede || d.Info != c.text || p.Details[i].Reason != c.reported {
			t.Errorf("%q: %d, %q, reported as %q", c.info, d.EDE, d.Info, p.Details[i].Reason)
		}
	}
}
