package sieve

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const mail1 = `From: Joe Doe <joe+news@Example.ORG>
To: me@example.net, "You, there" <you@example.net>
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from
 far away
Date: Sat, 28 Feb 2026 23:30:00 -0500
Message-ID: <1@example.org>
X-Num: 0042
X-Two: one
X-Two: two
List-ID: <lists.example.org>

body text with a word
`

func parseMessage(s string) Message {
	head, body, _ := strings.Cut(s, "\n\n")
	m := Message{Size: int64(len(s))}
	for _, line := range strings.Split(head, "\n") {
		if strings.HasPrefix(line, " ") {
			m.Header[len(m.Header)-1].Value += "\n" + line
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		m.Header = append(m.Header, Field{Name: name, Value: value})
	}
	m.Body = func(bool, []string) []string { return []string{body} }
	return m
}

func testEnvironment() Environment {
	return Environment{
		Now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), From: "bounce+x@example.org", To: "me+inbox@example.net",
		Values:     map[string]string{"name": "waxwing", "remote-ip": "192.0.2.1"},
		Mailbox:    func(name string) bool { return name == "INBOX" || name == "Lists" },
		SpecialUse: func(m string, flags []string) bool { return m == "" && len(flags) == 1 && flags[0] == `\Junk` },
		Duplicate:  func(id string, _ time.Duration, _ bool) bool { return strings.Contains(id, "seen") },
		Include: func(name string, global bool) (*Program, bool) {
			p, err := Compile(map[string]string{
				"sets":    `require ["include","variables"]; global "x"; set "x" "from inside"; set "y" "hidden"; return; stop;`,
				"loop":    `require "include"; include "loop";`,
				"discard": `discard;`,
			}[name])
			return p, err == nil && name != "none"
		},
		Spam: Spam{Tested: true, Percent: 67},
	}
}

func describe(actions []Action) string {
	var out []string
	for _, a := range actions {
		switch a := a.(type) {
		case Keep:
			s := "keep"
			if a.Implicit {
				s = "implicit"
			}
			out = append(out, strings.TrimSpace(s+" "+strings.Join(a.Flags, " ")))
		case FileInto:
			s := "fileinto " + a.Mailbox
			if a.SpecialUse != "" {
				s += " use " + a.SpecialUse
			}
			if a.Create {
				s += " create"
			}
			out = append(out, strings.TrimSpace(s+" "+strings.Join(a.Flags, " ")))
		case Redirect:
			out = append(out, "redirect "+a.Address)
		case Reject:
			out = append(out, fmt.Sprintf("reject %q %v", a.Reason, a.Early))
		case Vacation:
			out = append(out, fmt.Sprintf("vacation %q %q %s %v", a.Reason, a.Subject, a.Period, a.Addresses))
		case SetHeader:
			out = append(out, fmt.Sprintf("header %d", len(a.Header)))
		case Seen:
			out = append(out, fmt.Sprintf("seen %q", a.ID))
		default:
			out = append(out, fmt.Sprintf("%+v", a))
		}
	}
	return strings.Join(out, "; ")
}

// all requires what a script might use.
const all = `require ["fileinto","reject","ereject","envelope","encoded-character","comparator-i;ascii-numeric","imap4flags","variables","relational","subaddress",
"copy","mailbox","special-use","date","index","body","vacation","vacation-seconds","environment","include","duplicate","editheader","regex","spamtest","spamtestplus","enotify","ihave"];
`

// when makes a script that files into "yes" if a test holds.
func when(test string) string { return "if " + test + ` { fileinto "yes"; stop; } discard;` }

func TestTests(t *testing.T) {
	t.Parallel()
	for test, want := range map[string]bool{
		`header :is "subject" "Grüße from far away"`:                                     true,
		`header :contains ["x", "SUBJECT"] "FROM FAR"`:                                   true,
		`header :comparator "i;octet" :contains "subject" "FROM FAR"`:                    false,
		`header :matches "subject" "gr*from*"`:                                           true,
		`header :matches "subject" "gr?e*"`:                                              false,
		`header :is "missing" ""`:                                                        false,
		`header :value "gt" :comparator "i;ascii-numeric" "x-num" "41"`:                  true,
		`header :value "gt" "x-num" "41"`:                                                false,
		`header :count "eq" "x-two" "2"`:                                                 true,
		`header :index 2 :is "x-two" "two"`:                                              true,
		`header :index 1 :last :is "x-two" "one"`:                                        false,
		`header :regex "x-num" "^0+42$"`:                                                 true,
		`address :is "from" "joe+news@example.org"`:                                      true,
		`address :domain :is "from" "example.org"`:                                       true,
		`address :localpart :is ["to","cc"] "you"`:                                       true,
		`address :user :is "from" "joe"`:                                                 true,
		`address :detail :is "from" "news"`:                                              true,
		`address :detail :is "to" ""`:                                                    false,
		`envelope :detail "to" "inbox"`:                                                  true,
		`envelope :is "from" "bounce+x@example.org"`:                                     true,
		`exists ["from","list-id"]`:                                                      true,
		`exists ["from","nothing"]`:                                                      false,
		`size :over 100`:                                                                 true,
		`size :over 1M`:                                                                  false,
		`size :under 1K`:                                                                 true,
		`not true`:                                                                       false,
		`allof(true, not false, anyof(false, true))`:                                     true,
		`anyof(false)`:                                                                   false,
		`string :is "${nothing}" ""`:                                                     true,
		`string :is "${hex: 41 42}${unicode:263a}" "AB☺"`:                                true,
		`string :count "eq" ["a",""] "1"`:                                                true,
		`date :is "date" "weekday" "0"`:                                                  true, // it is Sunday in UTC
		`date :originalzone :is "date" "weekday" "6"`:                                    true,
		`date :zone "-0500" :is "date" "hour" "23"`:                                      true,
		`currentdate :is "date" "2026-03-01"`:                                            true,
		`currentdate :value "ge" "julian" "61100"`:                                       true,
		`allof(header :matches "x-num" "*", body :matches "*", string "${0}" "0042")`:    true, // RFC 5173 §6: body sets no variables
		`allof(header :matches "x-num" "*", body :regex "bod(.)", string "${0}" "0042")`: true,
		`body :contains "a WORD"`:                                                        true,
		`body :raw :contains "nothing"`:                                                  false,
		`mailboxexists "Lists"`:                                                          true,
		`mailboxexists ["Lists","None"]`:                                                 false,
		`specialuse_exists "\\Junk"`:                                                     true,
		`environment :is "name" "waxwing"`:                                               true,
		`environment :is "unknown" ""`:                                                   false,
		`ihave "fileinto"`:                                                               true,
		`ihave "nonsense"`:                                                               false,
		`spamtest :value "ge" :comparator "i;ascii-numeric" "5"`:                         true,
		`valid_notify_method "mailto:a@example.org"`:                                     true,
		`valid_notify_method "tel:1"`:                                                    false,
		`notify_method_capability "mailto:a@example.org" "Online" "maybe"`:               true,
		`notify_method_capability "mailto:a@example.org" "Online" "yes"`:                 false,
		`spamtest :percent :value "ge" :comparator "i;ascii-numeric" "67"`:               true,
	} {
		p, err := Compile(all + when(test))
		if err != nil {
			t.Errorf("%s: %v", test, err)
			continue
		}
		actions, err := p.Run(parseMessage(mail1), testEnvironment())
		if got := describe(actions) == "fileinto yes"; err != nil || got != want {
			t.Errorf("%s: %v (%s, %v), want %v", test, got, describe(actions), err, want)
		}
	}
}

func TestActions(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		``:                                  `implicit`,
		`keep;`:                             `keep`,
		`discard;`:                          ``,
		`stop; discard;`:                    `implicit`,
		`fileinto "a"; fileinto :copy "b";`: `fileinto a; fileinto b`,
		`fileinto :copy "b";`:               `fileinto b; implicit`,
		`fileinto :create :flags "\\Seen" "a"; fileinto "a";`:                                                    `fileinto a`,
		`redirect "x@example.org"; redirect "X@example.org";`:                                                    `redirect x@example.org`,
		`redirect :copy "x@example.org"; keep;`:                                                                  `redirect x@example.org; keep`,
		`reject "no";`:                                                                                           `reject "no" false`,
		`ereject text:` + "\nno\n..no\n.\n;":                                                                     `reject "no\r\n.no\r\n" true`,
		`setflag "\\Seen"; addflag ["a b", "\\seen"]; removeflag "B"; keep;`:                                     `keep \Seen a`,
		`setflag "v" "x"; addflag "v" "y"; keep :flags "${v}";`:                                                  `keep x y`,
		`vacation :days 3 :subject "s" :addresses ["a@b"] "gone";`:                                               `vacation "gone" "s" 72h0m0s [a@b]; implicit`,
		`if header :matches "subject" "*from*" { fileinto "${1}|${2}"; }`:                                        `fileinto Grüße | far away`,
		`if header :regex "x-num" "^0+(.*)" { fileinto "${1}"; }`:                                                `fileinto 42`,
		`if header :matches "x-two" "o*" {} fileinto "${0}";`:                                                    `fileinto one`,
		`set "a" "Hello"; set :upperfirst :lower "b" "WORLD"; fileinto "${a}${B}${c}";`:                          `fileinto HelloWorld`,
		`set :length "n" "äöü"; set :quotewildcard "q" "a*b"; fileinto "${n}${q}";`:                              `fileinto 3a\*b`,
		`set :encodeurl "u" "a b/ü"; fileinto "${u}";`:                                                           `fileinto a%20b%2F%C3%BC`,
		`fileinto "a"; addheader "X-New" "v"; fileinto "b"; addheader "X-New" "w"; addheader "X-New" "x"; keep;`: `fileinto a; header 10; fileinto b; header 12; keep`,
		`set "x" "1"; fileinto "${x}$x${-}${9}${";`:                                                              `fileinto 1$x${-}${`,
		`addheader "X-New" "v"; if header :is "x-new" "v" { keep; }`:                                             `header 10; keep`,
		`deleteheader "X-Two" "one"; if header :count "eq" "x-two" "1" { keep; }`:                                `header 8; keep`,
		`deleteheader "Received"; deleteheader :index 1 "X-Two"; keep;`:                                          `header 8; keep`,
		`include :personal "sets"; global "x"; fileinto "${x}${y}";`:                                             `fileinto from inside`,
		`include :optional "none"; include :once "discard"; include :once "discard";`:                            ``,
		`if duplicate { discard; }`:                                                                              `seen "\x00<1@example.org>"; implicit`,
		`if duplicate :uniqueid "seen" { discard; }`:                                                             ``,
		`notify :message "m" "mailto:a@example.org";`:                                                            `{Method:mailto:a@example.org From: Importance: Message:m Options:[]}; implicit`,
		`fileinto :specialuse "\\Junk" "Spam";`:                                                                  `fileinto Spam use \Junk`,
		`if false { keep; } elsif true { discard; } else { stop; }`:                                              ``,
		`if ihave "nonsense" { discard; } else { keep; }`:                                                        `keep`,
	} {
		p, err := Compile(all + script)
		if err != nil {
			t.Errorf("%s: %v", script, err)
			continue
		}
		actions, err := p.Run(parseMessage(mail1), testEnvironment())
		if got := describe(actions); err != nil || got != want {
			t.Errorf("%s:\n %s (%v)\nwant\n %s", script, got, err, want)
		}
	}
}

// SIV-1: a script may use what Capabilities announces where it requires that, and only then.
func TestCapabilities(t *testing.T) {
	t.Parallel()
	needs := map[string]string{
		"fileinto": `fileinto "x";`, "reject": `reject "x";`, "ereject": `ereject "x";`, "envelope": `if envelope "to" "x" { stop; }`,
		"comparator-i;ascii-numeric": `if header :comparator "i;ascii-numeric" "x-num" "42" { stop; }`,
		"imap4flags":                 `setflag "\\Seen";`, "variables": `set "a" "b";`, "relational": `if header :count "eq" "subject" "1" { stop; }`,
		"subaddress": `if address :detail "to" "x" { stop; }`, "copy": `redirect :copy "x@example.org";`, "mailbox": `if mailboxexists "x" { stop; }`,
		"special-use": `if specialuse_exists "\\Junk" { stop; }`, "date": `if currentdate "year" "2026" { stop; }`, "index": `if header :index 1 "subject" "x" { stop; }`,
		"body": `if body :contains "x" { stop; }`, "vacation": `vacation "x";`, "environment": `if environment "name" "x" { stop; }`, "include": `include :global "x";`,
		"duplicate": `if duplicate { discard; }`, "editheader": `addheader "X-A" "b";`, "regex": `if header :regex "subject" "x" { stop; }`,
		"spamtest": `if spamtest :is "5" { stop; }`, "enotify": `notify "mailto:a@example.org";`, "ihave": `if ihave "x" { stop; }`,
	}
	with := map[string]string{ // these need another beside
		"vacation-seconds": `require "vacation"; vacation :seconds 60 "x";`, "spamtestplus": `require "spamtest"; if spamtest :percent "5" { stop; }`,
	}
	free := []string{"encoded-character", "comparator-i;octet", "comparator-i;ascii-casemap"} // without an own word, or always there
	for _, c := range Capabilities() {
		script, ok := needs[c]
		if more, beside := with[c]; beside {
			script, ok = more, true
		}
		if !ok && !slices.Contains(free, c) {
			t.Errorf("nothing shows %s", c)
		}
		if _, err := Compile(`require "` + c + `"; ` + script); err != nil {
			t.Errorf("%s: %v", c, err)
		}
		if _, err := Compile(script); ok && (err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(c, "comparator-"))) {
			t.Errorf("%s is not required by %s: %v", c, script, err)
		}
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		`fileinto "x";`:                         `line 1: fileinto needs require "fileinto"`,
		`require "nonsense";`:                   `not known`,
		"keep;\nrequire \"fileinto\";":          `line 2: require stands before`,
		`keep`:                                  `";" is expected`,
		`if true keep;`:                         `needs a block`,
		`else { keep; }`:                        `without an if`,
		`unknown;`:                              `no command`,
		`if unknown { keep; }`:                  `no test`,
		`if header "subject" { keep; }`:         `takes 2 arguments`,
		`if header :is :contains "a" "b" { }`:   `excludes`,
		`if header :comparator "x" "a" "b" { }`: `comparator`,
		`if header :is "a b" "c" { }`:           `no name of a header`,
		`if size 5 { }`:                         `takes 0 arguments`,
		`if size { }`:                           `:over or :under`,
		`keep "x";`:                             `takes 0 arguments`,
		`keep :copy;`:                           `knows no :copy`,
		`redirect ["a@b","c@d"];`:               `must be a string`,
		`"x";`:                                  `no place here`,
		`keep; }`:                               `no place here`,
		`/* x`:                                  `comment without`,
		`redirect "x`:                           `string without`,
		`redirect text: x`:                      `must end its line`,
		`keep 99999999999999999999;`:            `too large`,
		strings.Repeat("if true {", 20):         `nested deeper`,
		`if ` + strings.Repeat("not ", 20) + `true {}`: `nested deeper`,
		`require "regex"; if header :regex "a" "(" {}`: `no regular expression`,
		`require "date"; if currentdate "x" "y" {}`:    `no part of a date`,
	} {
		_, err := Compile(script)
		var e *Error
		if !errors.As(err, &e) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", script, err, want)
		}
	}
	for script, want := range map[string]string{
		`redirect "nonsense";`:        "no address",
		`keep; reject "x";`:           "together",
		`vacation "a"; vacation "b";`: "second vacation",
		`include "loop";`:             "deeper than 10",
		`include "none";`:             "no script",
		`error "own words";`:          "own words",
		`notify "tel:1";`:             "not known",
		`redirect "a@x.org"; redirect "b@x.org"; redirect "c@x.org"; redirect "d@x.org"; redirect "e@x.org";`: "more redirects",
	} {
		p, err := Compile(all + script)
		if err != nil {
			t.Errorf("%s: %v", script, err)
			continue
		}
		if actions, err := p.Run(parseMessage(mail1), testEnvironment()); err == nil || !strings.Contains(err.Error(), want) || actions != nil {
			t.Errorf("%s: %v, %v, want %s", script, describe(actions), err, want)
		}
	}
}

func FuzzCompile(f *testing.F) {
	f.Add(all+`if anyof(header :matches "subject" "*a?", not exists ["x"]) { fileinto "${1}"; } elsif size :over 1K { stop; }`, mail1)
	f.Add(`require "variables"; set "a" text:`+"\nx\n.\n;", "From: x\n\ny")
	f.Fuzz(func(t *testing.T, script, mail string) {
		p, err := Compile(script)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Line < 1 {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		m := parseMessage("A: b\n" + mail)
		actions, err := p.Run(m, testEnvironment())
		if err != nil && actions != nil {
			t.Fatal("actions beside an error")
		}
	})
}
