package dataset

import (
	"bytes"
	"compress/bzip2"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/bilevel-go/bilevel/internal/realdata"
)

// svmText is LIBSVM text of about size bytes that looks like ijcnn1: 13 pairs a row, six decimals.
func svmText(size int) []byte {
	g := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	for b.Len() < size {
		fmt.Fprintf(&b, "%+d %d:1", 2*g.IntN(2)-1, 1+g.IntN(10))
		for j := 11; j <= 22; j++ {
			fmt.Fprintf(&b, " %d:%.6f", j, g.NormFloat64())
		}
		b.WriteByte('\n')
	}
	return b.Bytes()
}

func csvText(size int) []byte {
	g := rand.New(rand.NewPCG(1, 2))
	var b bytes.Buffer
	b.WriteString("a,b,c,d,e,f,g,h,i,colour,y\n")
	for b.Len() < size {
		for range 9 {
			fmt.Fprintf(&b, "%.6f,", g.NormFloat64())
		}
		fmt.Fprintf(&b, "%s,%d\n", []string{"red", "green", "blue"}[g.IntN(3)], g.IntN(2))
	}
	return b.Bytes()
}

// BenchmarkLIBSVM/plain reads text with all processors: -cpu 1 gives the speed of one.
func BenchmarkLIBSVM(b *testing.B) {
	text := svmText(32 << 20)
	b.Run("plain", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		for b.Loop() {
			if _, err := ReadFrom(b.Context(), bytes.NewReader(text), "bench", Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	path := realdata.File(b, "ijcnn1", "ijcnn1.tst.bz2")
	b.Run("bz2", func(b *testing.B) {
		for b.Loop() {
			if _, err := Read(b.Context(), path, Options{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bzip2-alone", func(b *testing.B) {
		for b.Loop() {
			f, err := os.Open(path)
			if err != nil {
				b.Fatal(err)
			}
			n, err := io.Copy(io.Discard, bzip2.NewReader(f))
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(n)
			f.Close()
		}
	})
}

func BenchmarkCSV(b *testing.B) {
	text := csvText(16 << 20)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := ReadFrom(b.Context(), bytes.NewReader(text), "bench", Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkScanFloat(b *testing.B) {
	text := []byte("-0.731854 ")
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, _, ok := scanFloat(text, 0); !ok {
			b.Fatal("no number")
		}
	}
}
