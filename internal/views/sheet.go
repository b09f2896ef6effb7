package views

import (
	"encoding/binary"
	"errors"

	"waxwing/internal/mailbox"
)

// sheetSize is how many UIDs a sheet has: that of number n those from n*sheetSize+1 on.
const sheetSize = 8192

// sheet is what was in a mailbox with some UIDs, as it was at a modseq.
type sheet struct {
	number uint32
	modseq uint64
	data   []byte
}

// sheetForm is with what packed entries begin: how they are written.
const sheetForm = 1

var errSheet = errors.New("views: entries that are packed cannot be read")

// pack appends entries, which ascend, to what was packed.
func pack(b []byte, e mailbox.Entry, last uint32) []byte {
	if len(b) == 0 {
		b = append(b, sheetForm)
	}
	b = binary.AppendUvarint(b, uint64(e.UID-last))
	b = binary.AppendUvarint(b, uint64(e.Flags))
	return binary.AppendUvarint(b, e.ModSeq)
}

// unpack calls fn for each entry.
func unpack(b []byte, fn func(mailbox.Entry)) error {
	if len(b) == 0 || b[0] != sheetForm {
		return errSheet
	}
	b = b[1:]
	uid := uint64(0)
	for len(b) > 0 {
		var v [3]uint64
		for i := range v {
			n := 0
			if v[i], n = binary.Uvarint(b); n <= 0 {
				return errSheet
			}
			b = b[n:]
		}
		if v[0] == 0 || v[0] > 1<<32-1-uid {
			return errSheet
		}
		uid += v[0]
		fn(mailbox.Entry{UID: uint32(uid), Flags: mailbox.Flags(v[1]), ModSeq: v[2]})
	}
	return nil
}

// changeAt is a change: where, and with which modseq.
type changeAt struct {
	mailbox.Range
	modseq uint64
}

// worn are the sheets that are to be written, of a mailbox with so many of size UIDs that are full: those that are
// missing, those that are older than floor, from which on it is known what has changed, and those of which so much has
// changed that reading it is no shorter.
func worn(have map[uint32]uint64, full, size uint32, floor uint64, changes []changeAt) (numbers []uint32) {
	changed, ranges := make([]uint32, full), make([]uint32, full)
	for _, c := range changes {
		if c.Low == 0 || c.High < c.Low {
			continue
		}
		for n := (c.Low - 1) / size; n <= (c.High-1)/size && n < full; n++ {
			if c.modseq <= have[n] {
				continue
			}
			low, high := max(c.Low, n*size+1), min(uint64(c.High), uint64(n+1)*uint64(size))
			changed[n] += uint32(high) - low + 1
			ranges[n]++
		}
	}
	for n := range full {
		modseq, has := have[n]
		if !has || modseq < floor || changed[n] > size/16 || ranges[n] > maxRanges {
			numbers = append(numbers, n)
		}
	}
	return numbers
}
