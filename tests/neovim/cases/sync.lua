-- The server holds what the buffer holds, whatever is done to it.
local Editor = require('editor')
local texts = require('texts')
local cases = {}

-- What changes a text: by character, line, block and file, from registers and history, in and beyond ASCII.
local KEYS = {
  'ofn new() {<CR>}<Esc>', 'Olet ä = "🦀";<Esc>', 'cwname<Esc>', 'ix <BS><CR>y<Esc>', 'R😀a<Esc>', 'rß', '~', 'gUU', 'guu',
  'x', 'X', 'D', 'dd', 'yyp', 'p', 'P', 'J', '3J', '>>', 'vjd', 'ggVGy', 'GP', '<C-v>jjIä <Esc>', 'ggdGiempty<Esc>',
  ':s/e/é/ge<CR>', ':%s/$/ 🦀/e<CR>', ':g/^$/d<CR>', ':sort<CR>', ':m0<CR>', ':t.<CR>', ':e!<CR>', 'u', '<C-r>', '10u',
  '5<C-r>', 'G', 'gg', '5j', 'w', 'b', '$', '0',
}
local BATCHES, PER_BATCH = 30, 20

-- Presses them in any order; every now and then the server is asked what it believes.
local function check_in_step(name, text)
  local editor = Editor.open(name, text)
  local seed = 1
  for batch = 1, BATCHES do
    for _ = 1, PER_BATCH do
      seed = (seed * 48271) % 2147483647
      editor:keys(KEYS[seed % #KEYS + 1])
    end
    editor:keys(':let g:batch = ' .. batch .. '<CR>')
    editor:wait('the end of a batch', function()
      return editor:lua('return vim.g.batch') == batch
    end)
    editor:assert_in_step()
  end
  editor:quit()
end

function cases.in_step()
  check_in_step('point.rs', texts.RUST)
end

function cases.in_step_with_crlf()
  check_in_step('words.py', (texts.PYTHON:gsub('\n', '\r\n')))
end

return cases
