import json

from splitlaw.cli import main
from splitlaw.report.corpora import corpora_table, dropped_table, samples
from splitlaw.report.inputs import read_inputs


def test_every_split_of_every_domain_is_counted(planted):
    table = corpora_table(read_inputs(planted))
    assert [row[0] for row in table.rows] == ["general", "", "", "law", "", "", "code", "", ""]
    assert table.rows[0][1:] == ["train", "1,000", "5.00", "2M", "2.50"]
    assert table.rows[5][1:] == ["test", "120", "0.60", "240k", "2.50"]


def test_dropped_documents_are_counted_by_reason(results):
    path = results / "corpus/law/card.json"
    card = json.loads(path.read_text())
    card["documents_cut"] = 9
    card["documents_to_general"] = 4
    card["dropped"]["bad_input: invalid UTF-8"] = {"documents": 2, "bytes": 0}
    path.write_text(json.dumps(card))
    table = dropped_table(read_inputs(results))
    assert table.rows[1][1:] == [
        "planted",
        "4",
        "passage",
        "near copy: 30 (0.01 MB); bad input: invalid UTF-8: 2",
    ]


def test_samples_are_escaped_on_the_page(planted, tmp_path):
    inputs = read_inputs(planted)
    assert [part.domain for part in samples(inputs)] == ["general", "law", "code"]
    out = tmp_path / "report.html"
    assert main(["report", "--results", str(planted), "--out", str(out)]) == 0
    page = out.read_text()
    assert page.count("<blockquote>Text &amp; &lt;b&gt;its&lt;/b&gt; start</blockquote>") == 3


def test_without_a_corpus_there_are_no_tables(tmp_path):
    (tmp_path / "losses.csv").write_text(
        "params,pretrain_tokens,specialize_tokens,domain,loss\n1e6,1e8,1e6,law,3.0\n"
    )
    inputs = read_inputs(tmp_path)
    assert corpora_table(inputs) is None
    assert dropped_table(inputs) is None
    assert samples(inputs) == []
