-- Ghost text: it appears, is cycled through, accepted, typed through, and gives way.
local Editor = require('editor')
local ghosts = require('ghosts')
local texts = require('texts')
local cases = {}

function cases.ghost_text_in_rust()
  ghosts.check_shown(ghosts.open())
end

function cases.ghost_text_in_python()
  local editor = Editor.open('words.py', texts.PYTHON)
  editor:insert_behind('            words')
  editor:type('.')
  ghosts.check_shown(editor, editor:wait_for_ghost())
end

function cases.accept()
  local editor, ghost = ghosts.open()
  local expected = ghosts.lines_with(editor, ghost)
  editor:keys('<M-CR>')
  editor:wait_for_lines(expected)
  assert(editor:lua('return vim.fn.mode()') == 'i', 'accepting leaves Insert mode')
  editor:quit()
end

function cases.accept_in_a_file_with_crlf()
  local editor = Editor.open('a.rs', 'fn a() -> u32 {\r\n    \r\n}\r\n')
  editor:keys('jA')
  local ghost = editor:wait_for_ghost()
  assert(ghost.text == 'wert(1);\n    wert(2);\n    wert(3)', vim.inspect(ghost.text))
  editor:keys('<M-CR>')
  editor:wait_for_lines({ 'fn a() -> u32 {', '    wert(1);', '    wert(2);', '    wert(3)', '}' })
  editor:quit()
end

function cases.cycle()
  local editor, first = ghosts.open({ candidates = 5 })
  local seen, ghost = { [first.text] = true }, first
  repeat
    local before = ghost
    editor:keys('<M-]>')
    ghost = editor:wait('the next ghost text', function()
      local now = editor:ghost()
      return now and now.hint ~= before.hint and now
    end)
    local back_at_first = ghost.hint:find('(1/', 1, true)
    assert(back_at_first or not seen[ghost.text], 'the same proposal twice: ' .. ghost.text)
    seen[ghost.text] = true
  until back_at_first
  assert(ghost.text == first.text and vim.tbl_count(seen) > 1, vim.inspect(seen))
  editor:keys('<M-]>')
  local second = editor:wait('the second proposal', function()
    local now = editor:ghost()
    return now and now.hint ~= ghost.hint and now
  end)
  local expected = ghosts.lines_with(editor, second)
  editor:keys('<M-CR>')
  editor:wait_for_lines(expected)
  editor:quit()
end

function cases.typing_through()
  local editor, ghost = ghosts.open()
  local before = editor:counters()
  editor:watch_for_flicker()
  local typed = math.min(3, #ghost.text - 1)
  assert(typed > 0, 'too short to type through: ' .. ghost.text)
  for count = 1, typed do
    local answered = editor:answered()
    editor:type(ghost.text:sub(count, count))
    editor:wait('the answer for what was typed', function()
      return editor:answered() > answered
    end)
    local rest = editor:wait_for_ghost()
    assert(rest.text == ghost.text:sub(count + 1), ('%q does not go on with %q'):format(rest.text, ghost.text))
  end
  local after = editor:counters()
  assert(after.inferencesStarted == before.inferencesStarted, vim.inspect(after))
  assert(after.typedThrough == before.typedThrough + typed, vim.inspect(after))
  assert(editor:flickers() == 0, 'the ghost text was gone for a moment')
  local expected = ghosts.lines_with(editor, editor:ghost())
  editor:keys('<M-CR>')
  editor:wait_for_lines(expected)
  editor:quit()
end

function cases.departing()
  local editor, ghost = ghosts.open()
  local before = editor:counters()
  editor:watch_for_flicker()
  editor:type(ghost.text:sub(1, 1) == 'q' and 'z' or 'q')
  editor:wait('a new inference', function()
    return editor:counters().inferencesStarted > before.inferencesStarted
  end)
  editor:keys('<Esc>')
  editor:wait('no ghost text outside Insert mode', function()
    return not editor:ghost() and editor:flickers() > 0
  end)
  editor:quit()
end

-- What is shown in front of the rest of a line does not repeat it.
function cases.in_the_middle_of_a_line()
  local editor = Editor.open('point.rs', (texts.RUST:gsub('other%.x\n', 'other.x)\n')))
  editor:insert_behind('Point::new(self.x - other.x')
  editor:type(', ')
  local ghost = editor:wait_for_ghost()
  local expected = ghosts.lines_with(editor, ghost)
  ghosts.check_on_screen(editor, ghost)
  editor:keys('<M-CR>')
  editor:wait_for_lines(expected)
  editor:quit()
end

-- Keys that come faster than the model answers: the last answer is for the last text.
function cases.typing_fast()
  local editor = Editor.open('point.rs', texts.RUST)
  editor:insert_behind('Point::new(self.x - other.x')
  for _ = 1, 20 do
    local answered = editor:answered()
    editor:type(', se')
    editor:keys('<BS><BS><BS><BS>')
    editor:wait('an answer', function()
      return editor:answered() > answered
    end)
  end
  -- Neovim shows what it had until the answer comes, and would put that before what was typed since: the plugin would not.
  local answered = editor:answered()
  editor:type(', ')
  editor:wait('an answer', function()
    return editor:answered() > answered
  end)
  local ghost = editor:wait_for_ghost()
  local expected = ghosts.lines_with(editor, ghost)
  editor:keys('<M-CR>')
  editor:wait_for_lines(expected)
  editor:quit()
end

-- For a slow engine. Neovim does not cancel what it no longer waits for; the server gives it up, and nobody is told of it.
function cases.superseded()
  local editor = Editor.open('point.rs', texts.RUST)
  editor:insert_behind('Point::new(self.x - other.x')
  for _, text in ipairs({ ',', ' ', 'a', 'b' }) do
    local asked = editor:asked()
    editor:type(text)
    editor:wait('a request', function()
      return editor:asked() > asked
    end)
  end
  editor:wait('all answers', function()
    return editor:answered() == editor:asked()
  end)
  local counters = editor:counters()
  assert(counters.inferencesCancelled > 0 and counters.inferencesFinished == 1, vim.inspect(counters))
  local ghost = editor:wait_for_ghost()
  local expected = ghosts.lines_with(editor, ghost)
  editor:keys('<M-CR>')
  editor:wait_for_lines(expected)
  editor:quit()
end

return cases
