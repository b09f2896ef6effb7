package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestSummary(t *testing.T) {
	t.Parallel()
	const in = `{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:7: no PostgreSQL here\n"}
{"Action":"skip","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:9: wrong\n"}
{"Action":"fail","Package":"p","Test":"TestB"}
{"Action":"output","Package":"p","Test":"TestC","Output":"quiet\n"}
{"Action":"pass","Package":"p","Test":"TestC"}
{"Action":"output","Package":"p","Output":"FAIL\tp\t0.1s\n"}
{"Action":"fail","Package":"p"}
{"Action":"output","Package":"q","Output":"ok  \tq\t0.1s\n"}
{"Action":"pass","Package":"q"}
go: something of the go command
`
	var b bytes.Buffer
	s := &summary{out: &b, kept: map[run][]string{}, skipped: map[string][]string{}}
	if err := s.read(strings.NewReader(in)); err != nil {
		t.Fatal(err)
	}
	s.tell()
	for _, want := range []string{"b_test.go:9: wrong", "FAIL\tp", "ok  \tq", "go: something", "\n1 test was skipped:\n  1: no PostgreSQL here (p TestA)\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in %s", want, b.String())
		}
	}
	if !s.failed || strings.Contains(b.String(), "quiet") {
		t.Errorf("failed %v\n%s", s.failed, b.String())
	}
}
