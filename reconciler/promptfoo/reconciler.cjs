// Written by `reconciler export --promptfoo`. promptfoo calls these functions by name; the catalog's texts are in
// reconciler.json, so that none of them is taken for a template or the name of a file.
'use strict';
const { rules, sessions } = require('./reconciler.json');

const SPACES = `[${rules.spaces}]`;
const ENDS = new RegExp(`^${SPACES}+|${SPACES}+$`, 'gu');
const SENTENCE = new RegExp(`[^.!?…。！？\\n]*[^${rules.spaces}.!?…。！？][^.!?…。！？\\n]*`, 'gu');
const CJK = new RegExp(`[${rules.cjk}]`, 'gu');
const FENCE = /^```[A-Za-z]*[ \t]*\n([^]*?)\n?```$/;

const test = (vars) => sessions[vars.session].tests[vars.test];
const wanted = ({ vars, config }) => ('check' in config ? test(vars).values[config.check] : config.value);

const characters = (text) => [...text].length;
const sentences = (text) => (text.replace(/(?<=\p{Nd})\.(?=\p{Nd})/gu, '').match(SENTENCE) ?? []).length;

function tokens(text) {
  const cjk = (text.match(CJK) ?? []).length;
  const exact = cjk * 0.6 + (characters(text) - cjk) * 0.3;
  const low = Math.floor(exact);
  return exact - low === 0.5 ? low + (low % 2) : Math.round(exact); // halves go to the even number
}

function said(pass, reason) {
  return { pass, score: pass ? 1 : 0, reason: pass ? 'Assertion passed' : reason };
}

const most = (what, measure) => (output, context) => {
  const [found, limit] = [measure(output), wanted(context)];
  return said(found <= limit, `it has ${found} ${what}, and at most ${limit} are allowed`);
};
const least = (what, measure) => (output, context) => {
  const [found, limit] = [measure(output), wanted(context)];
  return said(found >= limit, `it has ${found} ${what}, and at least ${limit} are needed`);
};

function finds(output, context) {
  const { source, flags } = wanted(context);
  return new RegExp(source, flags).test(output);
}

function refuses(output, context) {
  const start = [...output].slice(0, rules.beginning).join('').toLowerCase().replaceAll('’', "'");
  const found = rules.refusals.some((one) => start.includes(one));
  return said(found === wanted(context), found ? 'it refuses' : 'it does not refuse');
}

module.exports = {
  prompt({ vars }) {
    const { prompt } = sessions[vars.session];
    return [...(prompt ? [{ role: 'system', content: prompt }] : []), ...test(vars).messages];
  },
  value: (output, context) => wanted(context),
  trimmed: (output) => String(output ?? '').replace(/\p{Surrogate}/gu, '\ufffd').replace(ENDS, ''),
  without_fence: (output) => FENCE.exec(output)?.[1] ?? output,
  matches: (output, context) => said(finds(output, context), 'it does not match the pattern'),
  not_matches: (output, context) => said(!finds(output, context), 'it matches the pattern'),
  max_characters: most('characters', characters),
  min_characters: least('characters', characters),
  max_tokens: most('tokens', tokens),
  min_tokens: least('tokens', tokens),
  max_sentences: most('sentences', sentences),
  min_sentences: least('sentences', sentences),
  refuses,
};
